"""What may be wrong with what predicts. No module below `service` knows a status code."""

from __future__ import annotations


class ModelsError(Exception):
    """The root of this package's errors."""


class ModelNotFound(ModelsError):
    """Raised when the scope holds no such model or version; another tenant's looks the same."""

    def __init__(self, name: str | None, version: int | str | None = None) -> None:
        self.name = name
        self.version = version
        what = f"model {name!r}" if name is not None else "default model"
        which = "" if version is None else f" with a version {version!r}"
        super().__init__(f"there is no {what}{which}")


class NameRefused(ModelsError):
    """Raised when a model or alias is given a name that such names may not have."""

    def __init__(self, kind: str, name: str, rule: str) -> None:
        self.kind = kind
        self.name = name
        super().__init__(f"{name!r} is no name for {kind}: {rule}")


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


class ArtefactMissing(ModelsError):
    """Raised when the store has no artefact of a registered version."""

    def __init__(self, model: str, version: int) -> None:
        self.model = model
        self.version = version
        super().__init__(
            f"the artefact of {model!r} version {version} is not in the store; "
            "restore it from a backup, or import the model again"
        )


class ArtefactBroken(ModelsError):
    """Raised when an artefact or manifest is not, bit for bit, what was registered."""

    def __init__(self, what: str, problem: str) -> None:
        self.what = what
        self.problem = problem
        super().__init__(f"{what} is not what was registered: {problem}; import the model again")


class ArraysMalformed(ModelsError):
    """Raised when bytes are no well-formed set of arrays."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(f"these bytes are no arrays of a compiled model: {problem}")


class PredictionFailed(ModelsError):
    """Raised when a model's own library fails on a well-formed input."""

    def __init__(self, model: str, version: int, reason: str) -> None:
        self.model = model
        self.version = version
        self.reason = reason  # for the log: it may quote the tenant's data
        super().__init__(f"the model {model!r} version {version} failed on this input")


class MethodUnknown(ModelsError):
    """Raised when a model is asked for a method that it does not have."""

    def __init__(self, method: str, methods: tuple[str, ...]) -> None:
        self.method = method
        self.methods = methods
        super().__init__(f"the model has no method {method!r}; it has {', '.join(methods)}")


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


class VersionBroken(ModelsError):
    """Raised when a version is no longer run because it has crashed too often."""

    def __init__(self, model: str, version: int, reason: str) -> None:
        self.model = model
        self.version = version
        self.reason = reason
        super().__init__(
            f"the model {model!r} version {version} is not run any more: {reason}; "
            "roll back to another version"
        )


class VersionRetired(ModelsError):
    """Raised when a version is named that its owners have taken out of service."""

    def __init__(self, model: str, version: int) -> None:
        self.model = model
        self.version = version
        super().__init__(f"the model {model!r} version {version} is retired; name another version")


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


class RowsRefused(ModelsError):
    """Raised for rows that the model's own library refuses, by it or by an engine alike."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(f"the model takes no such rows: {problem}")


class EstimatorNotHeld(ModelsError):
    """Raised within an engine when its arrays cannot hold what an estimator has."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(f"the arrays of this engine cannot hold it: {problem}")


class FrameMalformed(ModelsError):
    """Raised when what a worker and a host send each other is no frame, or cannot be sent."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(f"this is no frame between a worker and a host: {problem}")


class StoreUnavailable(ModelsError):
    """Raised when the store of artefacts does not do as asked."""

    def __init__(self, store: str, problem: str) -> None:
        self.store = store
        self.problem = problem
        super().__init__(
            f"the {store} does not answer as it should: {problem}; run: manage.py doctor"
        )


class StoreExtraMissing(ModelsError):
    """Raised when artefacts are to be kept where a library that is not installed is needed for."""

    def __init__(self, library: str, extra: str) -> None:
        self.library = library
        self.extra = extra
        super().__init__(
            f"SALLYPORT_ARTEFACTS_URL needs {library}, which is not installed; "
            f"install it with: pip install -r requirements-{extra}.lock"
        )


class VersionDeleted(ModelsError):
    """Raised when a version is named that was deleted."""

    def __init__(self, model: str, version: int) -> None:
        self.model = model
        self.version = version
        super().__init__(f"the model {model!r} version {version} is deleted; name another version")


class ModelUnloaded(ModelsError):
    """Raised when a model is asked that its owners have taken out of service for a while."""

    def __init__(self, model: str) -> None:
        self.model = model
        super().__init__(f"the model {model!r} is not ready: unloaded; its owners may load it")


class VersionOutdated(ModelsError):
    """Raised when a version is named of which an earlier release kept too little to serve it."""

    def __init__(self, model: str, version: int) -> None:
        self.model = model
        self.version = version
        super().__init__(
            f"the model {model!r} version {version} was registered by an earlier release, "
            "which kept too little of it to serve it now; import its file again"
        )


class VersionInUse(ModelsError):
    """Raised when a version would go that something still points at."""

    def __init__(self, model: str, version: int, users: tuple[str, ...]) -> None:
        self.model = model
        self.version = version
        self.users = users
        super().__init__(
            f"the model {model!r} version {version} is used by {', '.join(users)}; "
            "move that to another version first"
        )


class VersionPinned(ModelsError):
    """Raised when a version would be deleted that is pinned."""

    def __init__(self, model: str, version: int) -> None:
        self.model = model
        self.version = version
        super().__init__(f"the model {model!r} version {version} is pinned; unpin it first")


class AliasNotFound(ModelsError):
    """Raised when a model has no alias of this name."""

    def __init__(self, model: str, alias: str) -> None:
        self.model = model
        self.alias = alias
        super().__init__(f"there is no alias {alias!r} of the model {model!r}")


class ChampionFixed(ModelsError):
    """Raised when the champion would be removed, without which a model answers nothing."""

    def __init__(self, model: str) -> None:
        self.model = model
        super().__init__(
            f"the champion of {model!r} can be moved but not removed; "
            "to end the model, delete the model"
        )


class NothingToRollBack(ModelsError):
    """Raised when an alias has pointed nowhere else before."""

    def __init__(self, model: str, alias: str) -> None:
        self.model = model
        self.alias = alias
        super().__init__(f"{alias!r} of the model {model!r} has pointed at no other version before")


class RouteRefused(ModelsError):
    """Raised when a route is malformed, or names what cannot serve; `path` is a JSON pointer."""

    def __init__(self, path: str, problem: str) -> None:
        self.path = path
        self.problem = problem
        super().__init__(f"{path}: {problem}" if path else f"the route is {problem}")


class RouteNotFound(ModelsError):
    """Raised when a model has no route."""

    def __init__(self, model: str) -> None:
        self.model = model
        super().__init__(f"the model {model!r} has no route; its champion answers every call")


class JobNotFound(ModelsError):
    """Raised when the scope holds no such intake job; another tenant's looks the same."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(f"there is no job {job_id!r}")


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


class ExtraMissing(FormatRefused):
    """Raised when a model file is of a format whose library is not installed."""

    def __init__(self, format_name: str, extra: str) -> None:
        self.format_name = format_name
        self.extra = extra
        super().__init__(
            f"{format_name} files need the extra {extra}, which this platform lacks",
            f"have it installed with: pip install -r requirements-{extra}.lock",
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
