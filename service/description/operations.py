"""The operations of the API: rules of the URL map with a method, as the document writes them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import flask
from werkzeug.routing import Rule

from service.idempotency import takes_key
from service.security import Access, access_of

VARIABLE: Final = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>")


@dataclass(frozen=True, slots=True)
class Operation:
    """A rule with one of its methods, who may use it, and what the document says of it."""

    rule: Rule
    access: Access
    view: Callable[..., Any]
    described: dict[str, Any]

    @classmethod
    def of(cls, app: flask.Flask, rule: Rule, described: dict[str, Any]) -> Operation:
        """The operation that answers on a rule."""
        access = access_of(app, rule.endpoint)
        assert access is not None, f"{rule.endpoint} has an access rule"
        return cls(rule, access, app.view_functions[rule.endpoint], described)

    @property
    def sample(self) -> str:
        """A path that the rule stands for; `1` is a name and a number."""
        return VARIABLE.sub("1", self.rule.rule)

    @property
    def is_public(self) -> bool:
        """Whether everybody may call it."""
        return self.access.permission is None

    @property
    def takes_body(self) -> bool:
        """Whether a body may be sent along."""
        return "requestBody" in self.described

    @property
    def predicts(self) -> bool:
        """Whether a model is asked: rows are charged once they are read."""
        return getattr(self.view, "charges_itself", False) and self.access.permission == "predict"

    @property
    def takes_key(self) -> bool:
        """Whether it may be sent again under an idempotency key."""
        return any(takes_key(self.access, method) for method in self.rule.methods or ())

    @property
    def is_tagged(self) -> bool:
        """Whether its answer says which state it shows."""
        return bool(getattr(self.view, "is_tagged", False))

    @property
    def heeds_conditions(self) -> bool:
        """Whether its change may depend on the state of what it changes."""
        return bool(getattr(self.view, "heeds_conditions", False))

    def takes(self, parameter: str) -> bool:
        """Whether a parameter of the query is called so."""
        return any(p.get("name") == parameter for p in self.described.get("parameters", ()))


def template(rule: str) -> str:
    """A rule's path with its variables in braces."""
    return VARIABLE.sub(r"{\1}", rule)


def rules_of(app: flask.Flask) -> dict[tuple[str, str], Rule]:
    """Every rule by its path and method, as the document has them."""
    return {
        (template(rule.rule), method.lower()): rule
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
    }
