"""A model's document, cut out of the description of the whole API.

Who may call, what is refused and how, and which headers there are is the same for every model;
what goes in and what comes out is this version's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from service.model_documents import native, scoring, serving, tensors
from service.model_documents.columns import row_schemas
from service.model_documents.facts import JSON, Call, Described, Facts
from service.model_documents.outputs import output_schemas

DIALECTS: Final = (native, tensors, serving, scoring)
KINDS: Final = ("schemas", "responses", "headers")
REFERENCE: Final = "#/components/"


def document_of(facts: Facts, whole: Mapping[str, Any]) -> Described:
    """The document of one version, from the facts about it and the API's own document."""
    calls = [call for dialect in DIALECTS for call in dialect.describe(facts)]
    paths = {call.path: {"post": _operation(call, whole)} for call in calls}
    own = row_schemas(facts) | output_schemas(facts.signature)
    return {
        "openapi": whole["openapi"],
        "info": whole["info"] | _about(facts),
        "servers": whole["servers"],
        "security": whole["security"],
        "tags": _tags(paths, whole["tags"]),
        "paths": paths,
        "components": _needed(paths, own, whole["components"]),
    }


def _about(facts: Facts) -> Described:
    signature, named = facts.signature, f"version {facts.number} of the model `{facts.model}`"
    asked = "" if facts.reference is not None else ", which answers calls that name no version"
    return {
        "title": facts.model,
        "version": str(facts.number),
        "description": f"How to ask {named}{asked}. It takes {signature.columns} columns and is "
        f"for {signature.task}; its methods are {', '.join(signature.methods)}.",
    }


def _operation(call: Call, whole: Mapping[str, Any]) -> Described:
    general = whole["paths"][call.general]["post"]
    content = {
        media_type: {"schema": schema} | _example(call.examples.get(media_type))
        for media_type, schema in call.requests.items()
    }
    success = general["responses"]["200"]
    answer = {"schema": call.answer} | _example(call.answered)
    kept = {name: general[name] for name in ("tags", "summary", "operationId", "security")}
    parameters = {"parameters": list(call.parameters)} if call.parameters else {}
    return {
        **kept,
        **parameters,
        "x-permission": general["x-permission"],
        "requestBody": {"required": True, "content": content},
        "responses": general["responses"] | {"200": success | {"content": {JSON: answer}}},
    }


def _example(example: Any) -> Described:
    return {} if example is None else {"example": example}


def _tags(paths: Mapping[str, Any], known: list[Described]) -> list[Described]:
    used = {tag for item in paths.values() for tag in item["post"]["tags"]}
    return [tag for tag in known if tag["name"] in used]


def _needed(
    paths: Mapping[str, Any], own: Mapping[str, Described], known: Mapping[str, Any]
) -> Described:
    """The components that the paths refer to, directly or not."""
    available = {kind: dict(known.get(kind, {})) for kind in KINDS}
    available["schemas"] |= own
    found: dict[str, Described] = {kind: {} for kind in KINDS}
    waiting: list[Any] = [paths]
    while waiting:
        for kind, name in _references(waiting.pop()):
            if name not in found[kind]:
                found[kind][name] = available[kind][name]
                waiting.append(found[kind][name])
    return {"securitySchemes": known["securitySchemes"]} | found


def _references(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        reference = value.get("$ref")
        if isinstance(reference, str) and reference.startswith(REFERENCE):
            kind, _, name = reference.removeprefix(REFERENCE).partition("/")
            yield kind, name
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)
