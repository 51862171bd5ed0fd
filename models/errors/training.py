"""Errors of trainings."""

from __future__ import annotations

from typing import Final

from models.errors.root import ModelsError

FAILED: Final = "the training failed: "


class SpecRefused(ModelsError):
    """Raised when a training spec says what none may; `where` is the path of the member."""

    def __init__(self, where: str, problem: str, remedy: str = "") -> None:
        self.where = where
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"the spec's {where}: {problem}" + (f"; {remedy}" if remedy else ""))


class DataRefused(ModelsError):
    """Raised when a table cannot be trained on; `report` says what is wrong, and where."""

    def __init__(self, problem: str, remedy: str = "", *, report: tuple[str, ...] = ()) -> None:
        self.problem = problem
        self.remedy = remedy
        self.report = report
        super().__init__(f"the data: {problem}" + (f"; {remedy}" if remedy else ""))


class TrainingRefused(ModelsError):
    """Raised when a training ended because of what it was to do, or on what; that is the reason."""


class TrainingFailed(ModelsError):
    """Raised when a training ended without a model; the reason may be told by one before."""

    def __init__(self, reason: str) -> None:
        self.reason = reason.removeprefix(FAILED)
        super().__init__(f"{FAILED}{self.reason}")


class TrainerEnded(TrainingFailed):
    """Raised when the process that trained has ended, which another may not."""


class ReportNotFound(ModelsError):
    """Raised when nothing is told of a training or version: it has no report, or not yet."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} has no report; one has who was trained here, once it is ready")
