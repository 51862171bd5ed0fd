"""What is not there, not whole, or not to be changed so."""

from __future__ import annotations

from models.errors.root import ModelsError


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
