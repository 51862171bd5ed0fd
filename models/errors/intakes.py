"""What keeps an upload from becoming a version."""

from __future__ import annotations

from models.errors.root import ModelsError


class IntakeRefused(ModelsError):
    """Raised when a model file does not become a version: why, and what the uploader can do."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        self.reason = reason
        self.remedy = remedy
        super().__init__(f"{reason}; {remedy}" if remedy else reason)


class FormatRefused(IntakeRefused):
    """Raised when a model file is of no accepted format, or holds what that format may not."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem = problem
        super().__init__(f"the model file is refused: {problem}", remedy)


class LibraryVersionRefused(FormatRefused):
    """Raised when a model was saved by a library version whose answers may differ from ours."""

    def __init__(self, library: str, saved: str, running: str) -> None:
        self.library = library
        self.saved = saved
        self.running = running
        super().__init__(
            f"it was saved by {library} {saved}, this platform runs {running}",
            f"save it anew with {running}, or accept the difference of versions",
        )


class ExtraMissing(FormatRefused):
    """Raised when a model file is of a format whose library is not installed."""

    def __init__(self, format_name: str, extra: str) -> None:
        self.format_name = format_name
        self.extra = extra
        super().__init__(
            f"{format_name} files need the extra {extra}, which this platform lacks",
            f"have it installed with: pip install -r requirements-{extra}.lock",
        )


class EstimatorRefused(IntakeRefused):
    """Raised when what a model file holds cannot serve predictions."""

    def __init__(self, kind: str, problem: str, remedy: str = "") -> None:
        self.kind = kind
        self.problem = problem
        super().__init__(f"{kind} cannot be served: {problem}", remedy)


class GivenRowsRefused(IntakeRefused):
    """Raised when rows or answers given with a model cannot be read, or are not the model's."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem = problem
        super().__init__(f"the rows given with the model are refused: {problem}", remedy)


class SignatureRefused(IntakeRefused):
    """Raised when a model is stated to take other columns than it does; shows both."""

    def __init__(self, problem: str, stated: str, found: str) -> None:
        self.problem = problem
        self.stated = stated
        self.found = found
        super().__init__(
            f"the signature that was stated is not the model's: {problem}; "
            f"stated: {stated}; found: {found}"
        )


class IntakeFailed(IntakeRefused):
    """Raised when the process that looked at a model file ended, or took too long."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem = problem
        super().__init__(f"the model file could not be prepared: {problem}", remedy)


class EstimatorNotHeld(ModelsError):
    """Raised within an engine when its arrays cannot hold what an estimator has."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(f"the arrays of this engine cannot hold it: {problem}")


class JobNotFound(ModelsError):
    """Raised when the scope holds no such intake job; another tenant's looks the same."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(f"there is no job {job_id!r}")


class JobHeld(ModelsError):
    """Raised when a job would be gone on with that somebody works on, or that has ended."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(f"the job {job_id} is worked on, or has ended")


class LeaseLost(ModelsError):
    """Raised when a job is no longer one's own: somebody else took it over, or it has ended."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(f"the job {job_id} was taken over or has ended")


class UploadLost(ModelsError):
    """Raised when what was uploaded is not, bit for bit, in the store."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(f"the upload is not what was received: {problem}; upload the model again")
