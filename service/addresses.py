"""The rules by which addresses are routed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

from werkzeug.routing import Rule

Builder = Callable[..., tuple[str, str]]


class Address(Rule):
    """A rule that is routed by at once, and learns to write its address when that is first asked.

    werkzeug compiles two programs for it beforehand. Of a hundred rules few are ever written, and
    the programs of all are most of what it takes to make the application in every worker.
    """

    def _compile_builder(self, append_unknown: bool = True) -> Builder:
        compiled = cache(partial(super()._compile_builder, append_unknown))

        def write(rule: Rule, **values: Any) -> tuple[str, str]:
            return compiled()(rule, **values)

        return write
