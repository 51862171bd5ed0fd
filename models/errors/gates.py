"""Errors of gates, of drift and of schedules."""

from __future__ import annotations

from collections.abc import Sequence

from models.errors.root import ModelsError


class RulesRefused(ModelsError):
    """Raised when the rules of a gate say what none may; `path` is a JSON pointer."""

    def __init__(self, path: str, problem: str) -> None:
        self.path = path
        self.problem = problem
        super().__init__(f"{path}: {problem}" if path else f"the gate is {problem}")


class GateNotFound(ModelsError):
    """Raised when a model has no gate."""

    def __init__(self, model: str) -> None:
        self.model = model
        super().__init__(f"the model {model!r} has no gate; every version of it may be champion")


class GateRefused(ModelsError):
    """Raised when a version does not pass its model's gate; `reasons` has one for each rule."""

    def __init__(self, model: str, version: int, reasons: Sequence[str]) -> None:
        self.model = model
        self.version = version
        self.reasons = tuple(reasons)
        super().__init__(
            f"the model {model!r} version {version} does not pass the gate: " + "; ".join(reasons)
        )


class DriftUnknown(ModelsError):
    """Raised when there is nothing to compare, on the one side or on the other."""

    def __init__(self, model: str, problem: str, remedy: str) -> None:
        self.model = model
        self.problem = problem
        super().__init__(f"the drift of {model!r} is not known: {problem}; {remedy}")


class ScheduleNotFound(ModelsError):
    """Raised when a model has no scheduled training."""

    def __init__(self, model: str) -> None:
        self.model = model
        super().__init__(f"the model {model!r} has no schedule; set one with: manage.py schedules")


class ScheduleRefused(ModelsError):
    """Raised when a schedule is asked for that could never train."""

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem = problem
        super().__init__(f"there can be no such schedule: {problem}; {remedy}")
