"""Hostile bodies against every endpoint that reads one, on SQLite and on PostgreSQL: no 5xx.

The JSON texts follow Nicolas Seriot's JSONTestSuite: `y` must be read, `n` must not, `i` is the
reader's choice. The texts follow Max Woolf's list of naughty strings.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, make_url, text
from werkzeug.test import TestResponse

from config.settings import load_settings
from service.operations import accounts, tenants
from service.operations.installation import initialise
from tests.house import UNHURRIED, House, opened
from tests.service.problems import refused

JSON_ENDPOINTS: Final = (
    ("POST", "/auth/login"),
    ("POST", "/auth/refresh"),
    ("POST", "/auth/password"),
    ("POST", "/auth/otp"),
    ("POST", "/admin/users"),
    ("PATCH", "/admin/users/rob"),
    ("POST", "/admin/clients"),
    ("PATCH", "/admin/limits"),
    ("POST", "/predict"),
)
FORM_ENDPOINTS: Final = ("/auth/token", "/auth/revoke", "/auth/introspect")

# None of these is JSON, or none is an object that any endpoint reads.
NOT_JSON: Final = (
    b"", b" ", b"{", b"}", b"[", b"]", b"[1,]", b"[,1]", b"[1 2]", b"[1,,2]", b"{,}", b'{"a"}',
    b'{"a":}', b'{"a":1,}', b'{"a" 1}', b"{'a':1}", b"{a:1}", b'{1:1}', b'{"a":1}}', b'{"a":1}x',
    b'{"a":"', b'{"a":"\n"}', b'{"a":"\t"}', b'{"a":"\x00"}', b'{"a":"\\x00"}', b'{"a":"\\u00"}',
    b'{"a":"\\u{0}"}', b'{"a":"\\"}', b'{"a":"\\ud800"}', b'{"a":"\\udc00\\ud800"}',
    b'{"\\ud83d":1}', b'{"a":+1}', b'{"a":.5}', b'{"a":1.}', b'{"a":01}', b'{"a":-}', b'{"a":1e}',
    b'{"a":0x1}', b'{"a":1_0}', b'{"a":NaN}', b'{"a":-Infinity}', b'{"a":nan}', b'{"a":True}',
    b'{"a":nul}', b'{"a":undefined}', b'{"a":/**/1}', b"#{}", b"\xef\xbb\xbf{}",
    b"\xff\xfe{\x00}\x00",
    b'{"a":"\xff"}', b'{"a":"\xc0\x80"}', b'{"a":"\xed\xa0\x80"}', b'{"a":"\xf4\x90\x80\x80"}',
    b"\x00{}", b"{}\x00", b"\x0c{}", b"\x1f\x8b\x08\x00", b"%PDF-1.7", b"\x80\x04\x95", b"<a/>",
    b"null", b"true", b"1", b'"a"', b"[]", b"[{}]", b"1e999", b"-0", b'[{"a":1}]',
    b"[" * 60_000, b'{"a":' * 12_000, b'[{"":' * 10_000, b'{"a":' + b"9" * 60_000 + b"}",
    b'{"a":1,"a":2}', b'{"a":{"b":1,"b":1}}', b'{"tenant":1,"\\u0074enant":2}',
    b'{"a":1e400}', b'{"a":-1e400}', b'{"a":123123e100000}', b'{"":0}', b'{"a":"\\u0000"}',
)  # fmt: skip

NAUGHTY: Final = (
    "undefined", "null", "True", "NaN", "Infinity", "-1", "1e1000", "0x0", "1" * 400, "\u0000",
    "a\u0000b", "\u0001\u007f\u0085", "\ufeff", "\ufffe\uffff", "\u202e\u2066test", "\u200b\u200d",
    "\u00c5\u0301\u030a", "Z\u0351\u036b\u0343\u036aA\u0302\u034dL\u0323G\u0300O\u0334",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "\U000e0041\U0010ffff", "\ufdfa" * 20, "\u0130\u0131\ufb00\u017f", "'", '"', "''",
    "' OR 1=1 --",
    "1;DROP TABLE users", "%", "_", "%s%s%n", "{0.__class__}", "{{7*7}}", "${jndi:ldap://x}",
    "../../../../etc/passwd\x00", "file:///etc/passwd", "<script>alert(1)</script>",
    "\r\nSet-Cookie: a=b",
    "() { :;}; touch /tmp/x", "__proto__", "constructor", "a:b", "a b", " ", "\t", "a/b?c#d", "\\",
    "CON", "$(id)", "`id`", "\u2028\u2029", "x" * 1024, "\U0001f980" * 64,
)  # fmt: skip


@pytest.fixture(scope="module")
def postgresql_house(
    postgresql_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    """The demo on PostgreSQL, whose texts hold no NUL."""
    name = f"bodies_{secrets.token_hex(4)}"
    engine = create_engine(postgresql_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    url = make_url(postgresql_url).set(database=name).render_as_string(hide_password=False)
    folder = tmp_path_factory.mktemp("postgresql") / "instance"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SALLYPORT_DATABASE_URL", url)
        list(initialise(folder, demo=True))
    shutil.rmtree(folder / "state", ignore_errors=True)
    (folder / "olga").write_text("unknown")
    with opened(load_settings(folder, database_url=url, **UNHURRIED)) as house:
        operators = tenants.operator_scope(house.platform)
        olga = accounts.create_user(house.platform, operators, "olga", "operator")
        house.olga.password = olga.password or ""
        yield house


@pytest.fixture(scope="module", params=["shared_house", "postgresql_house"])
def any_house(request: pytest.FixtureRequest) -> House:
    house: House = request.getfixturevalue(request.param)
    return house


def send(house: House, method: str, path: str, body: bytes, **options: Any) -> TestResponse:
    """Send as the operator, who may call everything but the predictions."""
    actor = house.ada if path == "/predict" else house.olga
    query = {"tenant": "acme"} if path.startswith("/admin") else {}
    options = {"content_type": "application/json"} | options
    return actor.call(method, path, data=body, query_string=query, **options)


def answered(response: TestResponse) -> TestResponse:
    """Require an answer that is no fault and, if it refuses, is a problem document."""
    assert response.status_code < 500, response.text
    if response.status_code >= 400:
        assert response.content_type == "application/problem+json"
        assert response.get_json()["status"] == response.status_code
    return response


@pytest.mark.parametrize(("method", "path"), JSON_ENDPOINTS)
def test_what_is_no_json_object_is_refused_by_every_endpoint(
    shared_house: House, method: str, path: str
) -> None:
    for body in NOT_JSON:
        response = answered(send(shared_house, method, path, body))
        assert response.status_code in (400, 413), (body[:40], response.text)
        assert response.get_json().get("errors"), body[:40]


@pytest.mark.parametrize(("method", "path"), JSON_ENDPOINTS)
def test_body_of_more_than_is_ever_needed_is_refused_unread(
    shared_house: House, method: str, path: str
) -> None:
    most = shared_house.platform.settings.max_body_bytes if path == "/predict" else 64 * 1024
    body = b'{"username":"' + b"x" * most + b'"}'
    refused(send(shared_house, method, path, body), 413, "too-large")


@pytest.mark.parametrize(("method", "path"), JSON_ENDPOINTS[:-1])
@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
     "application/xml", "application/json-patch", "text/json", "x", "/", ";"],
)  # fmt: skip
def test_other_content_type_is_refused(
    shared_house: House, method: str, path: str, content_type: str
) -> None:
    response = send(shared_house, method, path, b"{}", content_type=content_type)
    refused(response, 415, "unsupported-media-type")


NAMED: Final[dict[str, tuple[str, ...]]] = {
    "/auth/login": ("tenant", "username", "password", "otp"),
    "/auth/refresh": ("refresh_token",),
    "/admin/users": ("username", "role", "scope"),
    "/admin/clients": ("name", "scope", "expires_in"),
    "/admin/limits": ("model", "limits"),
    "/predict": ("features", "model", "version"),
}
FIT: Final[dict[str, dict[str, Any]]] = {
    "/auth/login": {"tenant": "acme", "username": "ada", "password": "x"},
    "/auth/refresh": {"refresh_token": "x"},
    "/admin/users": {"username": "naughty", "role": "caller"},
    "/admin/clients": {"name": "naughty", "scope": "predict"},
    "/admin/limits": {"limits": {}},
    "/predict": {"features": [5, 10]},
}


@pytest.mark.drill
@pytest.mark.parametrize("path", [path for path in NAMED if path != "/auth/login"])
def test_naughty_text_in_any_field_is_no_fault(any_house: House, path: str) -> None:
    method = "PATCH" if path == "/admin/limits" else "POST"
    for field in NAMED[path]:
        for naughty in NAUGHTY:
            if path == "/admin/users" and field == "username" and len(naughty) > 1:
                continue  # below: each that is a name costs a hash
            body = json.dumps({**FIT[path], field: naughty}).encode()
            answered(send(any_house, method, path, body))


@pytest.mark.drill
def test_naughty_login_is_a_wrong_one(any_house: House) -> None:
    for naughty in NAUGHTY:
        body = {"tenant": naughty, "username": naughty, "password": naughty, "otp": naughty[:32]}
        response = answered(any_house.client.post("/auth/login", json=body))
        assert response.status_code in (400, 401)


def test_naughty_names_are_one_user_each_or_none(any_house: House) -> None:
    for naughty in NAUGHTY[::2]:
        body = {"username": naughty[:128], "role": "caller"}
        response = answered(any_house.ada.post("/admin/users", json=body))
        if response.status_code == 201:
            name = response.get_json()["username"]
            assert any_house.ada.get("/admin/users", query_string={"limit": 1}).status_code == 200
            assert name.isprintable()
            assert "\x00" not in name


PLACES: Final = (
    ("GET", "/models/{}"),
    ("GET", "/admin/users/{}"),
    ("POST", "/admin/users/{}/reset-password"),
    ("DELETE", "/admin/clients/{}"),
    ("GET", "/docs/{}"),
    ("GET", "/{}"),
)
QUERIES: Final = (
    ("/admin/users", "cursor"),
    ("/admin/users", "limit"),
    ("/admin/users", "tenant"),
    ("/admin/clients", "cursor"),
    ("/admin/audit", "cursor"),
    ("/admin/usage", "since"),
    ("/admin/usage", "by"),
    ("/admin/limits", "tenant"),
)


def test_naughty_addresses_are_no_fault(any_house: House) -> None:
    for naughty in NAUGHTY:
        for method, path in PLACES:
            answered(any_house.olga.call(method, path.format(quote(naughty, safe=""))))
        for path, name in QUERIES:
            answered(any_house.olga.get(path, query_string={name: naughty}))
    for raw in ("%ff%fe", "%C0%80", "%ED%A0%80", "%00", "%", "%zz", "%u0041"):
        for method, path in PLACES:
            answered(any_house.olga.call(method, path.format(raw)))


@pytest.mark.parametrize("path", FORM_ENDPOINTS)
def test_naughty_forms_are_no_fault(any_house: House, path: str) -> None:
    robot = ("cli_" + "0" * 24, "x")
    for naughty in NAUGHTY:
        for form in (
            {"token": naughty},
            {"token": "x", "client_id": naughty, "client_secret": naughty},
            {"grant_type": naughty},
            {"grant_type": "client_credentials", "client_id": naughty, "client_secret": naughty},
            {"grant_type": "refresh_token", "refresh_token": naughty},
            {naughty: "x"},
        ):
            answered(any_house.client.post(path, data=form))
        answered(any_house.client.post(path, data={"token": "x"}, auth=(naughty, naughty)))
    for raw in (b"", b"=", b"&", b"token", b"token=%", b"token=%ff", b"token=\xff", b"\x00=\x00",
                b"token=a&token=b", b"a=1&" * 2_000, b"token=" + b"x" * 60_000):  # fmt: skip
        form_type = "application/x-www-form-urlencoded"
        response = any_house.client.post(path, data=raw, content_type=form_type, auth=robot)
        assert answered(response).status_code in (400, 401, 413, 415), raw[:40]


@pytest.mark.parametrize("path", FORM_ENDPOINTS)
def test_form_of_more_than_is_ever_needed_is_refused(shared_house: House, path: str) -> None:
    form = {"token": "x" * 70_000}
    refused(shared_house.client.post(path, data=form), 413, "too-large")


@pytest.mark.parametrize("path", FORM_ENDPOINTS)
def test_repeated_form_field_is_refused(shared_house: House, path: str) -> None:
    form = {"token": ["a", "b"], "grant_type": ["client_credentials", "refresh_token"]}
    body = refused(shared_house.client.post(path, data=form), 400, "invalid-input")
    assert body["error"] == "invalid_request"


ANY_JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_json_at_all_is_a_fault(shared_house: House, data: st.DataObject) -> None:
    method, path = data.draw(st.sampled_from(JSON_ENDPOINTS))
    names = NAMED.get(path, ("password", "new_password", "action", "otp", "state", "role"))
    body = data.draw(
        ANY_JSON | st.dictionaries(st.sampled_from(names) | st.text(max_size=3), ANY_JSON)
    )
    answered(send(shared_house, method, path, json.dumps(body).encode()))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(endpoint=st.sampled_from(JSON_ENDPOINTS), body=st.binary(max_size=200))
def test_no_bytes_at_all_are_a_fault(
    shared_house: House, endpoint: tuple[str, str], body: bytes
) -> None:
    answered(send(shared_house, *endpoint, body))
