"""Hostile requests in every dialect: a clear refusal in its own form, never a fault or an echo."""

from __future__ import annotations

import copy
import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from tests.attacks.test_bodies import NAUGHTY, NOT_JSON
from tests.contracts.dialects import (
    HTTP_DIALECTS,
    Dialect,
    HttpDialect,
    Native,
    OpenInference,
    OpenInferenceBinary,
    Wish,
)
from tests.contracts.test_dialects import DIALECTS, speaking
from tests.house import House

GOOD: Final = Wish([[5.0, 10.0], [1.0, 2.0]])
LONGEST_REFUSAL: Final = 4096
CANARY: Final = 31415926535.8979  # a value that no refusal may show
JSON_DIALECTS: Final = tuple(kind for kind in HTTP_DIALECTS if kind is not OpenInferenceBinary)
FOREIGN: Final = tuple(kind for kind in HTTP_DIALECTS if not issubclass(kind, Native))

# In the place of any value of a good request.
WRONG: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1.5, 2**53 + 1, 2**63, 2**64, -(2**63), 10**400, 1e308, "", "x", "1",
    "\x00", "a" * 70_000, [], {}, [[]], [{}], {"": 0}, {"b64": "%"}, {"b64": 1}, [None], [True],
    ["1"], [[1], [1, 2]], [[[[[[[[1.0]]]]]]]], {"a": {"b": {"c": {}}}}, [1, [2]], [CANARY] * 3,
)  # fmt: skip


@pytest.fixture(params=HTTP_DIALECTS, ids=lambda kind: kind.name)
def dialect(request: pytest.FixtureRequest, shared_house: House) -> HttpDialect:
    made: HttpDialect = request.param(shared_house.client)
    return made


@pytest.fixture(params=JSON_DIALECTS, ids=lambda kind: kind.name)
def json_dialect(request: pytest.FixtureRequest, shared_house: House) -> HttpDialect:
    made: HttpDialect = request.param(shared_house.client)
    return made


def send(
    house: House, dialect: HttpDialect, body: bytes, path: str | None = None, **headers: str
) -> TestResponse:
    """Send with a good token; a refusal must be short, clear and in the dialect's own form."""
    known = {"Authorization": f"Bearer {house.rob.token}"}
    described = {"Content-Type": dialect.media_type} | headers
    response = house.client.post(path or dialect.path(GOOD), data=body, headers=known | described)
    assert response.status_code < 500, response.text
    if response.status_code != 200:
        assert dialect.error(response)
        assert len(response.data) <= LONGEST_REFUSAL
        assert str(CANARY).encode() not in response.data
    return response


@pytest.fixture(scope="module", params=DIALECTS, ids=lambda kind: kind.name)
def speaker(request: pytest.FixtureRequest, shared_house: House) -> Iterator[Dialect]:
    with speaking(request.param, shared_house) as made:
        yield made


def test_what_is_no_request_is_refused(shared_house: House, speaker: Dialect) -> None:
    for body in NOT_JSON:
        reply = speaker.send(shared_house.rob.token, body)
        assert reply.status in (400, 413), (body[:40], reply)
        assert 0 < len(reply.error) <= LONGEST_REFUSAL


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_requests_with_changed_bytes_are_answered_or_refused(
    shared_house: House, speaker: Dialect, data: st.DataObject
) -> None:
    body = bytearray(speaker.encode(GOOD))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body) - 1))
        length = data.draw(st.integers(0, 4))
        body[at : at + length] = data.draw(st.binary(max_size=4))
        body = body or bytearray(b"x")

    reply = speaker.send(shared_house.rob.token, bytes(body))

    assert reply.status in (200, 400, 404, 413), reply


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value within a JSON value."""
    yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from places(inner, (*path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value[:2]):
            yield from places(inner, (*path, index))


def with_value(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The body with another value at a path."""
    if not path:
        return value
    changed = copy.deepcopy(body)
    holder = changed
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value
    return changed


def test_anything_in_the_place_of_any_value_is_answered_or_refused(
    shared_house: House, json_dialect: HttpDialect
) -> None:
    good = json.loads(json_dialect.encode(GOOD))
    for path in places(good):
        for value in WRONG:
            body = json.dumps(with_value(good, path, value)).encode()
            response = send(shared_house, json_dialect, body)
            assert response.status_code in (200, 400, 404, 413), (path, value, response.text)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["inputs", "outputs", "instances", "examples", "columns", "data", "shape", "name"]
            )
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_no_json_is_a_fault(
    shared_house: House, json_dialect: HttpDialect, data: st.DataObject
) -> None:
    good = json.loads(json_dialect.encode(GOOD))
    path = data.draw(st.sampled_from(list(places(good))))
    body = json.dumps(with_value(good, path, data.draw(JSON))).encode()

    send(shared_house, json_dialect, body)


def test_members_given_twice_are_refused(shared_house: House, json_dialect: HttpDialect) -> None:
    good = json_dialect.encode(GOOD)
    name = next(iter(json.loads(good)))
    value = json.dumps(json.loads(good)[name]).encode()

    twice = good[:-1] + b', "' + name.encode() + b'": ' + value + b"}"
    escaped = good[:-1] + b', "\\u%04x' % ord(name[0]) + name[1:].encode() + b'": ' + value + b"}"

    for body in (twice, escaped):
        response = send(shared_house, json_dialect, body)
        assert response.status_code == 400, response.text


def test_nesting_beyond_the_bound_is_refused_wherever_it_is(
    shared_house: House, json_dialect: HttpDialect
) -> None:
    good = json.loads(json_dialect.encode(GOOD))
    for path in places(good):
        for deep in ("[" * 2_000 + "]" * 2_000, '{"a":' * 2_000 + "1" + "}" * 2_000):
            body = json.dumps(with_value(good, path, "DEEP")).replace('"DEEP"', deep).encode()
            assert send(shared_house, json_dialect, body).status_code == 400


@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity", "1e400", "-1e999", "1" * 500])
def test_what_is_no_finite_number_is_refused_by_a_model_that_misses_none(
    shared_house: House, json_dialect: HttpDialect, token: str
) -> None:
    body = json_dialect.encode(GOOD).replace(b"5.0", token.encode(), 1)
    assert send(shared_house, json_dialect, body).status_code == 400


def test_rows_beyond_the_bound_are_refused(shared_house: House, dialect: HttpDialect) -> None:
    most = shared_house.platform.settings.max_rows
    body = dialect.encode(Wish([[1.0, 2.0]] * (most + 1)))
    headers = dialect.headers(body)

    response = send(shared_house, dialect, body, **headers)

    assert response.status_code in (400, 413)


def test_body_beyond_the_bound_is_refused_in_its_own_words(
    shared_house: House, dialect: HttpDialect
) -> None:
    body = b" " * (shared_house.platform.settings.max_body_bytes + 1)
    assert send(shared_house, dialect, body).status_code == 413


# Content codings.


@pytest.mark.parametrize("kind", FOREIGN, ids=lambda kind: kind.name)
@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_compressed_bodies_are_read_and_bombs_are_not(
    shared_house: House, kind: type[HttpDialect], coding: str
) -> None:
    dialect = kind(shared_house.client)
    pack: Callable[[bytes], bytes] = gzip.compress if coding == "gzip" else zlib.compress
    body = dialect.encode(GOOD)
    coded = dialect.headers(body) | {"Content-Encoding": coding}

    assert send(shared_house, dialect, pack(body), **coded).status_code == 200
    bomb = pack(b" " * (64 * 1024 * 1024))
    assert send(shared_house, dialect, bomb, **coded).status_code == 413
    assert send(shared_house, dialect, pack(pack(body)), **coded).status_code == 400
    for broken in (body, pack(body)[:-6], pack(body) + b"x", b""):
        assert send(shared_house, dialect, broken, **coded).status_code in (400, 415)


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "x", "\u00e9"])
def test_other_codings_are_refused(shared_house: House, dialect: HttpDialect, coding: str) -> None:
    body = dialect.encode(GOOD)
    response = send(shared_house, dialect, body, **{"Content-Encoding": coding})
    assert response.status_code in (400, 415)


# Addresses.


def test_what_is_not_at_an_address_is_worded_as_its_dialect_does(
    shared_house: House, dialect: HttpDialect
) -> None:
    path, headers = dialect.path(GOOD), {"Authorization": f"Bearer {shared_house.rob.token}"}

    wrong_method = shared_house.client.delete(path, headers=headers)

    assert wrong_method.status_code == 405
    assert wrong_method.headers["Allow"]
    assert dialect.error(wrong_method)
    for folder in ("/v1", "/v2"):
        if path.startswith(folder):
            nowhere = shared_house.client.post(f"{folder}/nothing/here", headers=headers)
            assert nowhere.status_code in (400, 404)
            assert dialect.error(nowhere)


def test_names_that_no_model_has_are_not_found(shared_house: House, dialect: HttpDialect) -> None:
    path = dialect.path(GOOD)
    if "linear" not in path:
        pytest.skip("the model is named in the body")
    for name in (*NAUGHTY, "..", "%2e%2e", "a" * 300):
        quoted = "".join(f"%{byte:02x}" for byte in name.encode())
        response = send(shared_house, dialect, dialect.encode(GOOD), path.replace("linear", quoted))
        assert response.status_code in (400, 404), (name, response.text)


# Tensors that lie about themselves.


def tensor(**members: Any) -> bytes:
    good = json.loads(OpenInference.encode(OpenInference(None), GOOD))  # type: ignore[arg-type]
    good["inputs"][0] |= members
    return json.dumps(good).encode()


@pytest.mark.parametrize(
    "shape",
    [
        [-1, -4], [-2, 2], [2, -2], [2**32, 2**32], [2**64, 1], [2**63, 2], [0], [0, 2], [2, 0],
        [2.0, 2], ["2", 2], [True, 4], [2, 2, 1], [4, 1], [1] * 64, [], None, 4, "2,2", [[2, 2]],
        [2, 10**30], [3, 2], [1, 3],
    ],
    ids=str,
)  # fmt: skip
def test_shapes_that_do_not_fit_the_data_are_refused(shared_house: House, shape: Any) -> None:
    dialect = OpenInference(shared_house.client)
    assert send(shared_house, dialect, tensor(shape=shape)).status_code == 400


@pytest.mark.parametrize(
    "datatype", ["FP16", "BF16", "fp64", "FP128", "", None, 64, "BYTES", "BOOL", "STRING"], ids=str
)
def test_datatypes_that_do_not_fit_the_data_are_refused(shared_house: House, datatype: Any) -> None:
    dialect = OpenInference(shared_house.client)
    assert send(shared_house, dialect, tensor(datatype=datatype)).status_code == 400


@pytest.mark.parametrize(
    "length", ["-1", "1", "99999", "1e2", "0x10", "", " ", "\u0663", "10" * 20, "5, 5", "nan"]
)
def test_header_lengths_that_lie_are_refused(shared_house: House, length: str) -> None:
    dialect = OpenInferenceBinary(shared_house.client)
    body = dialect.encode(GOOD)
    header = {"Inference-Header-Content-Length": length}
    assert send(shared_house, dialect, body, **header).status_code == 400


@pytest.mark.parametrize(
    "size", [-1, 0, 1, 31, 33, 2**31, 2**64, 32.0, "32", True, None, [32]], ids=str
)
def test_binary_sizes_that_lie_are_refused(shared_house: House, size: Any) -> None:
    dialect = OpenInferenceBinary(shared_house.client)
    good = dialect.encode(GOOD)
    length = int(dialect.headers(good)["Inference-Header-Content-Length"])
    described = json.loads(good[:length])
    described["inputs"][0]["parameters"]["binary_data_size"] = size
    head = json.dumps(described).encode()
    header = {"Inference-Header-Content-Length": str(len(head))}

    assert send(shared_house, dialect, head + good[length:], **header).status_code == 400


@pytest.mark.parametrize("change", [-8, -1, 1, 8])
def test_bytes_too_few_or_too_many_are_refused(shared_house: House, change: int) -> None:
    dialect = OpenInferenceBinary(shared_house.client)
    good = dialect.encode(GOOD)
    body = good[:change] if change < 0 else good + b"\x00" * change
    header = dialect.headers(good)

    assert send(shared_house, dialect, body, **header).status_code == 400
