"""The rules of @stoplight/spectral-owasp-ruleset 2.0.1 (Apache-2.0) that speak about OpenAPI 3.1.

Each is named as there, after the risk of the OWASP API Security Top 10 of 2023 that it is about:
https://github.com/stoplightio/spectral-owasp-ruleset/blob/main/src/ruleset.ts. Its own tool needs
node and a registry of packages; `make owasp` runs that where both are there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

Document = Mapping[str, Any]
Place = tuple[str, ...]
Found = Iterator[Place]
Rule = Callable[[Document], Found]

VERBS: Final = ("get", "head", "post", "put", "patch", "delete", "options", "trace")
WRITING: Final = ("post", "put", "patch", "delete")
READING: Final = ("get", "head")
CREDENTIAL: Final = re.compile(
    r"client_?secret|token|access_?token|refresh_?token|id_?token|password|secret|api-?key", re.I
)
FETCHED: Final = re.compile(r"(^(callback|redirect)|(_url|Url|-url))$")
ENVIRONMENT: Final = re.compile(
    r"local|sandbox|alpha|beta|test|stag|prod|next|preprod", re.IGNORECASE
)
RATE_LIMITS: Final = (
    ("RateLimit",),
    ("RateLimit-Limit", "RateLimit-Reset"),
    ("X-RateLimit-Limit",),
    ("X-Rate-Limit-Limit",),
)


def nodes(value: Any, at: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every value of a document, with where it is."""
    yield at, value
    inner: Any = ()
    if isinstance(value, Mapping):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    for name, member in inner:
        yield from nodes(member, (*at, str(name)))


def resolved(document: Document, value: Any) -> Any:
    """What a reference leads to; anything else as it is."""
    while isinstance(value, Mapping) and "$ref" in value:
        target: Any = document
        for part in value["$ref"].removeprefix("#/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        value = target
    return value


def operations(document: Document) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    """Every operation, with where it is."""
    for path, item in document["paths"].items():
        for verb in VERBS:
            if verb in item:
                yield ("paths", path, verb), item[verb]


def of_type(kind: str, document: Document) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    """Every schema that may be of a type."""
    for at, node in nodes(document):
        if isinstance(node, Mapping) and kind in _listed(node.get("type")):
            yield at, node


def responses(document: Document) -> Iterator[tuple[Place, str, Mapping[str, Any]]]:
    """Every response of every operation: where, with which status, and what it has."""
    for at, operation in operations(document):
        for status, response in operation["responses"].items():
            yield (*at, "responses", status), status, resolved(document, response)


def parameters(document: Document) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    """Every parameter of every path and operation."""
    for at, node in nodes(document["paths"], ("paths",)):
        if at[-1] == "parameters" and isinstance(node, list):
            for position, parameter in enumerate(node):
                yield (*at, str(position)), resolved(document, parameter)


def schemes(document: Document) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    """Every security scheme."""
    for name, scheme in document["components"]["securitySchemes"].items():
        yield ("components", "securitySchemes", name), scheme


def _listed(kinds: Any) -> list[Any]:
    return kinds if isinstance(kinds, list) else [kinds]


def _lacking(kind: str, *wanted: str) -> Rule:
    """Schemas of a type that have none of the keywords wanted."""

    def rule(document: Document) -> Found:
        return (at for at, schema in of_type(kind, document) if not schema.keys() & set(wanted))

    return rule


def _no_numeric_ids(document: Document) -> Found:
    for at, parameter in parameters(document):
        named = parameter["name"] == "id" or re.search(r"(_id|Id|-id)$", parameter["name"])
        if named and "integer" in _listed(parameter["schema"].get("type")):
            yield at


def _no_http_basic(document: Document) -> Found:
    return (at for at, scheme in schemes(document) if "basic" in scheme.get("scheme", ""))


def _no_api_keys_in_url(document: Document) -> Found:
    in_url = ("path", "query")
    return (
        at
        for at, scheme in schemes(document)
        if scheme["type"] == "apiKey" and scheme["in"] in in_url
    )


def _no_credentials_in_url(document: Document) -> Found:
    return (
        at
        for at, parameter in parameters(document)
        if parameter["in"] in ("path", "query") and CREDENTIAL.search(parameter["name"])
    )


def _auth_insecure_schemes(document: Document) -> Found:
    outdated = ("negotiate", "oauth")
    return (at for at, scheme in schemes(document) if scheme.get("scheme") in outdated)


def _jwt_best_practices(document: Document) -> Found:
    for at, scheme in schemes(document):
        jwt = scheme.get("bearerFormat", "").lower() == "jwt" or scheme["type"] == "oauth2"
        if jwt and "RFC8725" not in scheme.get("description", ""):
            yield at


def _short_lived_access_tokens(document: Document) -> Found:
    for at, scheme in schemes(document):
        for name, flow in scheme.get("flows", {}).items():
            if not flow.get("refreshUrl"):
                yield (*at, "flows", name)


def _restricted(verbs: tuple[str, ...]) -> Rule:
    def rule(document: Document) -> Found:
        for at, operation in operations(document):
            needed = operation.get("security", document.get("security"))
            if at[-1] in verbs and not needed:
                yield (*at, "security")

    return rule


def _unevaluated(document: Document) -> Found:
    return (
        at
        for at, schema in of_type("object", document)
        if schema.get("unevaluatedProperties") and "maxProperties" not in schema
    )


def _rate_limit(document: Document) -> Found:
    for at, status, response in responses(document):
        headers = response.get("headers", {})
        known = sum(headers.keys() >= set(names) for names in RATE_LIMITS)
        if status[0] in "24" and known != 1:
            yield at


def _retry_after(document: Document) -> Found:
    for at, status, response in responses(document):
        if status == "429" and "Retry-After" not in response.get("headers", {}):
            yield at


def _described(*statuses: str) -> Rule:
    """Operations that describe none of the statuses, or not what they answer with them."""

    def rule(document: Document) -> Found:
        for at, operation in operations(document):
            found = [operation["responses"][s] for s in statuses if s in operation["responses"]]
            if not any(resolved(document, response).get("content") for response in found):
                yield (*at, "responses")

    return rule


def _integer_limit(document: Document) -> Found:
    for at, schema in of_type("integer", document):
        bounds = [("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")]
        if any(len(schema.keys() & set(pair)) != 1 for pair in bounds):
            yield at


def _admin_security_unique(document: Document) -> Found:
    admin, other = [], set()
    for at, operation in operations(document):
        for needed in operation.get("security", ()):
            spelled = json.dumps(needed)
            if "/admin" in at[1]:
                admin.append(((*at, "security"), spelled))
            else:
                other.add(spelled)
    return (at for at, spelled in admin if spelled in other)


def _concerning_url_parameter(document: Document) -> Found:
    return (at for at, p in parameters(document) if FETCHED.search(p["name"]))


def _cors_origin(document: Document) -> Found:
    for at, _, response in responses(document):
        if not response.get("headers", {}).get("Access-Control-Allow-Origin"):
            yield (*at, "headers")


def _servers(wrong: Callable[[Mapping[str, Any]], bool]) -> Rule:
    def rule(document: Document) -> Found:
        for position, server in enumerate(document["servers"]):
            if wrong(server):
                yield ("servers", str(position))

    return rule


RULES: Final[Mapping[str, Rule]] = {
    "owasp:api1:2023-no-numeric-ids": _no_numeric_ids,
    "owasp:api2:2023-no-http-basic": _no_http_basic,
    "owasp:api2:2023-no-api-keys-in-url": _no_api_keys_in_url,
    "owasp:api2:2023-no-credentials-in-url": _no_credentials_in_url,
    "owasp:api2:2023-auth-insecure-schemes": _auth_insecure_schemes,
    "owasp:api2:2023-jwt-best-practices": _jwt_best_practices,
    "owasp:api2:2023-short-lived-access-tokens": _short_lived_access_tokens,
    "owasp:api2:2023-write-restricted": _restricted(WRITING),
    "owasp:api2:2023-read-restricted": _restricted(READING),
    "owasp:api3:2023-no-unevaluatedProperties": _unevaluated,
    "owasp:api4:2023-rate-limit": _rate_limit,
    "owasp:api4:2023-rate-limit-retry-after": _retry_after,
    "owasp:api4:2023-rate-limit-responses-429": _described("429"),
    "owasp:api4:2023-array-limit": _lacking("array", "maxItems"),
    "owasp:api4:2023-string-limit": _lacking("string", "maxLength", "enum", "const"),
    "owasp:api4:2023-string-restricted": _lacking("string", "format", "pattern", "enum", "const"),
    "owasp:api4:2023-integer-limit": _integer_limit,
    "owasp:api4:2023-integer-format": _lacking("integer", "format"),
    "owasp:api5:2023-admin-security-unique": _admin_security_unique,
    "owasp:api7:2023-concerning-url-parameter": _concerning_url_parameter,
    "owasp:api8:2023-define-cors-origin": _cors_origin,
    "owasp:api8:2023-no-server-http": _servers(lambda s: s["url"].startswith("http:")),
    "owasp:api8:2023-define-error-validation": _described("400", "422", "4XX"),
    "owasp:api8:2023-define-error-responses-401": _described("401"),
    "owasp:api8:2023-define-error-responses-500": _described("500"),
    "owasp:api9:2023-inventory-access": _servers(lambda s: "x-internal" not in s),
    "owasp:api9:2023-inventory-environment": _servers(
        lambda s: not ENVIRONMENT.search(s.get("description", ""))
    ),
}
