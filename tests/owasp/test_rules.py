"""The API's description under OWASP's rules, and the rules under descriptions that break them."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
import yaml

from service.security import PUBLIC, access_of
from tests.attacks.test_tenancy import routes
from tests.house import House
from tests.owasp.documents import MODEL, WHOLE
from tests.owasp.rules import RULES, Place
from tests.service.scored_models import add_models

Document = dict[str, Any]
RULESET: Final = yaml.safe_load((Path(__file__).parent / "ruleset.yaml").read_text())
MODELS: Final = (MODEL, "people", "gaps")


@pytest.fixture(scope="module")
def documents(shared_house: House) -> dict[str, Document]:
    """The API's own document, and those of models of numbers, of texts, and of missing values."""
    add_models(shared_house)
    whole = {WHOLE: shared_house.client.get("/openapi.json").get_json()}
    return whole | {
        f"{model}.json": shared_house.ada.get(f"/models/{model}/openapi.json").get_json()
        for model in MODELS
    }


def excepted(name: str, rule: str, place: Place) -> bool:
    """Whether the ruleset excepts a place from a rule, wherever it is or there alone."""
    if RULESET["rules"].get(rule) == "off":
        return True
    pointer = "".join(f"/{step(part)}" for part in place)
    return any(
        f"{name}#{pointer}/".startswith(f"{place_of_exception}/")
        for override in RULESET["overrides"]
        if rule in override["rules"]
        for place_of_exception in override["files"]
    )


def step(name: str) -> str:
    """A step of a JSON pointer as the fragment of an address (RFC 6901, section 6)."""
    return quote(name.replace("~", "~0").replace("/", "~1"), safe="~:.-_")


def test_nothing_is_found_but_what_is_deliberate(documents: dict[str, Document]) -> None:
    found = [
        (name, rule, place)
        for name, document in documents.items()
        for rule, places in RULES.items()
        for place in places(document)
        if not excepted(name, rule, place)
    ]
    assert found == []


def test_every_exception_is_of_a_rule_and_of_something_that_is_there(
    shared_house: House, documents: dict[str, Document]
) -> None:
    named = {*RULESET["rules"], *(rule for o in RULESET["overrides"] for rule in o["rules"])}
    assert named <= RULES.keys()
    excused = {file for override in RULESET["overrides"] for file in override["files"]}
    public = {
        re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        for rule, _ in routes(shared_house.app)
        if access_of(shared_house.app, rule.endpoint) is PUBLIC
    }
    taking = {"/auth/token", "/auth/revoke", "/auth/introspect"}  # which say how to prove oneself
    expected = {f"{WHOLE}#/paths/{step(path)}" for path in public - taking}
    assert excused == expected


def _scheme(**members: Any) -> Callable[[Document], None]:
    return lambda d: d["components"]["securitySchemes"].update(extra=members)


def _schema(**members: Any) -> Callable[[Document], None]:
    return lambda d: d["components"]["schemas"].update(Extra=members)


def _parameter(**members: Any) -> Callable[[Document], None]:
    return lambda d: d["paths"]["/jobs"]["get"].update(parameters=[members])


def _operation(**members: Any) -> Callable[[Document], None]:
    return lambda d: d["paths"]["/jobs"]["get"].update(members)


def _header(status: str, name: str) -> Callable[[Document], None]:
    return lambda d: d["components"]["responses"][f"Problem{status}"]["headers"].pop(name)


def _without(status: str) -> Callable[[Document], None]:
    return lambda d: d["paths"]["/jobs"]["get"]["responses"].pop(status)


def _server(**members: Any) -> Callable[[Document], None]:
    return lambda d: d.update(servers=[members])


WRONG_SERVER: Final = {"url": "http://a", "description": "x"}
BREACHES: Final[Mapping[str, Callable[[Document], None]]] = {
    "api1:2023-no-numeric-ids": _parameter(
        name="user_id", **{"in": "path", "schema": {"type": "integer"}}
    ),
    "api2:2023-no-http-basic": _scheme(type="http", scheme="basic"),
    "api2:2023-no-api-keys-in-url": _scheme(type="apiKey", name="key", **{"in": "query"}),
    "api2:2023-no-credentials-in-url": _parameter(
        name="access_token", **{"in": "query", "schema": {}}
    ),
    "api2:2023-auth-insecure-schemes": _scheme(type="http", scheme="negotiate"),
    "api2:2023-jwt-best-practices": _scheme(type="http", scheme="bearer", bearerFormat="JWT"),
    "api2:2023-short-lived-access-tokens": _scheme(
        type="oauth2", description="RFC8725", flows={"clientCredentials": {"tokenUrl": "https://a"}}
    ),
    "api2:2023-write-restricted": lambda d: d["paths"]["/predict"]["post"].update(security=[]),
    "api2:2023-read-restricted": _operation(security=[]),
    "api3:2023-no-unevaluatedProperties": _schema(type="object", unevaluatedProperties=True),
    "api4:2023-rate-limit": _header("400", "RateLimit"),
    "api4:2023-rate-limit-retry-after": _header("429", "Retry-After"),
    "api4:2023-rate-limit-responses-429": _without("429"),
    "api4:2023-array-limit": _schema(type="array", items={}),
    "api4:2023-string-limit": _schema(type=["string", "null"], format="text"),
    "api4:2023-string-restricted": _schema(type="string", maxLength=1),
    "api4:2023-integer-limit": _schema(type="integer", format="int64", minimum=0),
    "api4:2023-integer-format": _schema(type="integer", minimum=0, maximum=1),
    "api5:2023-admin-security-unique": _operation(security=[{"bearer": ["audit"]}]),
    "api7:2023-concerning-url-parameter": _parameter(
        name="callback", **{"in": "query", "schema": {}}
    ),
    "api8:2023-define-cors-origin": lambda _: None,
    "api8:2023-no-server-http": _server(**WRONG_SERVER),
    "api8:2023-define-error-validation": _without("400"),
    "api8:2023-define-error-responses-401": _without("401"),
    "api8:2023-define-error-responses-500": _without("500"),
    "api9:2023-inventory-access": _server(**WRONG_SERVER),
    "api9:2023-inventory-environment": _server(**WRONG_SERVER),
}


def test_every_rule_finds_what_breaks_it(documents: dict[str, Document]) -> None:
    assert {f"owasp:{name}" for name in BREACHES} == RULES.keys()
    before = {name: set(RULES[f"owasp:{name}"](documents[WHOLE])) for name in BREACHES}
    for name, breach in BREACHES.items():
        document = copy.deepcopy(documents[WHOLE])
        breach(document)
        after = set(RULES[f"owasp:{name}"](document))
        assert after > before[name] or name.endswith("cors-origin"), name
