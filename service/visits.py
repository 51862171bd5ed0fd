"""One call on its way to a prediction, whichever door it came through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from auth.scope import Scope
from models.versions import Version
from service.bootstrap import Platform
from service.errors import Policy
from service.stages import Stages

NATIVE: Final = "native"  # the dialect of the platform's own JSON
OPEN_INFERENCE: Final = "open-inference"
TENSORFLOW_SERVING: Final = "tensorflow-serving"
MLFLOW: Final = "mlflow"


SETBACK: Final = "sallyport.setback"  # in the environ, where no header can reach


@dataclass(frozen=True, slots=True)
class Setback:
    """What a call has come to that was charged, and is not to be computed again."""

    error: Exception
    policies: tuple[Policy, ...]


@dataclass(slots=True, kw_only=True)
class Visit:
    """Who calls, in which dialect; `header` reads the call's headers or metadata.

    `policies` are the limits that the caller is closest to, once the call is charged; `version`
    and `rows` are what has answered so far, and how much. A `setback` is what it comes to.
    """

    platform: Platform
    scope: Scope
    dialect: str
    header: Callable[[str], str | None]
    request_id: str
    stages: Stages
    policies: tuple[Policy, ...] = ()
    version: Version | None = None
    rows: int = 0
    setback: Setback | None = None

    def answered(self, version: Version, *, rows: int) -> None:
        """Count rows that a version has answered."""
        self.version, self.rows = version, self.rows + rows
        engine = version.manifest.contents.engine
        self.platform.telemetry.rows.labels(engine, self.dialect).inc(rows)
