"""What keeps rows from being answered, or their answers from being kept."""

from __future__ import annotations

from models.errors.root import ModelsError


class InputRefused(ModelsError):
    """Raised when a request's body is no input for a prediction; `path` is a JSON pointer."""

    def __init__(self, path: str, problem: str) -> None:
        self.path = path
        self.problem = problem
        super().__init__(f"{path}: {problem}" if path else problem)


class InputTooLarge(InputRefused):
    """Raised when a request's body has more bytes than one prediction may have."""

    def __init__(self, size: int, most: int) -> None:
        self.size = size
        self.most = most
        super().__init__("", f"the body has {size} bytes, at most {most} are taken")


class MethodUnknown(ModelsError):
    """Raised when a model is asked for a method that it does not have."""

    def __init__(self, method: str, methods: tuple[str, ...]) -> None:
        self.method = method
        self.methods = methods
        super().__init__(f"the model has no method {method!r}; it has {', '.join(methods)}")


class RowsRefused(ModelsError):
    """Raised for rows that the model's own library refuses, by it or by an engine alike."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(f"the model takes no such rows: {problem}")


class PredictionFailed(ModelsError):
    """Raised when a model's own library fails on a well-formed input."""

    def __init__(self, model: str, version: int, reason: str) -> None:
        self.model = model
        self.version = version
        self.reason = reason  # for the log: it may quote the tenant's data
        super().__init__(f"the model {model!r} version {version} failed on this input")


class HostCrashed(ModelsError):
    """Raised when the process that ran a model ended before it answered."""

    def __init__(self, model: str, version: int) -> None:
        self.model = model
        self.version = version
        super().__init__(f"the model {model!r} version {version} ended its process")


class DeadlineExceeded(ModelsError):
    """Raised when a model has not answered in the time that a prediction may take."""

    def __init__(self, model: str, version: int, seconds: float) -> None:
        self.model = model
        self.version = version
        self.seconds = seconds
        super().__init__(
            f"the model {model!r} version {version} has not answered within {seconds:g} s"
        )


class HostsUnavailable(ModelsError):
    """Raised when no process can be had to run a model in."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(f"models that need their own library cannot be run now: {problem}")


class FrameMalformed(ModelsError):
    """Raised when what a worker and a host send each other is no frame, or cannot be sent."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(f"this is no frame between a worker and a host: {problem}")


class SandboxTooWeak(ModelsError):
    """Raised when this machine cannot confine a model as strongly as the settings ask."""

    def __init__(self, level: str, required: str, lacking: str) -> None:
        self.level = level
        self.required = required
        self.lacking = lacking
        super().__init__(
            f"the sandbox for models is {level!r} here, {required!r} is required; "
            f'what does not hold: {lacking}; see "The sandbox" in docs/how-to/operate.md'
        )


class LogRefused(ModelsError):
    """Raised when a prediction log is asked for as none can be; `path` is a JSON pointer."""

    def __init__(self, path: str, problem: str) -> None:
        self.path = path
        self.problem = problem
        super().__init__(f"{path}: {problem}")


class LogNotFound(ModelsError):
    """Raised when a model has no prediction log, or its log no such segment."""

    def __init__(self, model: str, segment_id: str = "") -> None:
        self.model = model
        self.segment_id = segment_id
        what = f"no segment {segment_id!r} in the log" if segment_id else "no log"
        super().__init__(f"there is {what} of the predictions of {model!r}")


class SegmentLost(ModelsError):
    """Raised when a segment of a prediction log is not, bit for bit, in the store."""

    def __init__(self, segment_id: str, problem: str, *, is_missing: bool = False) -> None:
        self.segment_id = segment_id
        self.problem = problem
        self.is_missing = is_missing
        super().__init__(
            f"the segment {segment_id} of a prediction log is not what was written: {problem}"
        )


class ExportRefused(ModelsError):
    """Raised when what was logged cannot be written where, or as, it was asked for."""

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem = problem
        super().__init__(f"{problem}; {remedy}")
