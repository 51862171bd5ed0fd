"""The form that refusals have on a path: asked of those who word them, so that it is theirs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

from service.description.headers import of_failure
from service.problems import Problem, describe
from service.wording import Wordings

Described = dict[str, Any]
# A member that tells which schema a refusal has.
TELLING: Final[Mapping[str, str]] = {
    "type": "Problem",
    "error_code": "MlflowError",
    "error": "Error",
}


class Forms:
    """Words refusals as each path does, and collects every form that was met."""

    def __init__(self, wordings: Wordings) -> None:
        self._wordings = wordings
        self._responses: Described = {}

    def failures(self, path: str, problems: Iterable[Problem]) -> Described:
        """The responses that the problems are on a path, by status."""
        met = {self._worded(path, problem) for problem in problems}
        return {str(status): self._response(status, *form) for status, *form in sorted(met)}

    def responses(self) -> Described:
        """Every response that was referred to."""
        return dict(sorted(self._responses.items()))

    def _worded(self, path: str, problem: Problem) -> tuple[int, str, str]:
        document = describe(problem, None, "0" * 16)
        said = self._wordings.say(path, problem, document)
        members = json.loads(said.body)
        schema = next(schema for member, schema in TELLING.items() if member in members)
        return said.status, schema, said.media_type

    def _response(self, status: int, schema: str, media_type: str) -> Described:
        name = f"{schema}{status}"
        content = {media_type: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
        self._responses[name] = {
            "description": f"{HTTPStatus(status).phrase}.",
            "headers": of_failure(status),
            "content": content,
        }
        return {"$ref": f"#/components/responses/{name}"}
