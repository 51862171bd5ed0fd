"""What is known of a version when its gate is asked: its evaluation, its parity, its times.

An evaluation was written in the sandbox: what it says is read with care, and what does not have
the form of a number is no number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import orjson

from models.engines import NATIVE
from models.manifest import Contents

MOST_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Judged:
    """A metric on held-out rows, and its interval where there is one."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a training found of a version: its metrics, and the data that they are of."""

    metrics: Mapping[str, Judged]
    digest: str
    target: str

    @classmethod
    def read(cls, text: bytes) -> Self | None:
        """Read the file; None if it is no evaluation."""
        if len(text) > MOST_BYTES:
            return None
        try:
            said = orjson.loads(text)
            metrics, data = said["holdout"]["metrics"], said["data"]
            found = {str(name): _judged(each) for name, each in metrics.items()}
            known = {name: judged for name, judged in found.items() if judged is not None}
            return cls(known, str(data["digest"]), str(data["target"]))
        except (ValueError, TypeError, KeyError, AttributeError):
            return None

    def is_of_data_of(self, other: Evaluation) -> bool:
        """Whether both were judged on rows of the same table."""
        return self.digest == other.digest and bool(self.digest)


@dataclass(frozen=True, slots=True)
class Timing:
    """How long calls with a single row took, in milliseconds; `problem` is why none was timed."""

    calls: int
    p99_ms: float
    problem: str = ""

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Self:
        """The 99th percentile by nearest rank: no call that was not made."""
        ordered = sorted(seconds)
        at = math.ceil(0.99 * len(ordered)) - 1
        return cls(len(ordered), ordered[at] * 1000)


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """A version by its number, and what a training found of it."""

    number: int
    evaluation: Evaluation | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """All that rules may be about. Without a `champion` there is none to compare with."""

    candidate: Standing
    champion: Standing | None
    engine: str
    parity: str  # why it is not exact; empty where it is
    timing: Timing | None = None


def parity_of(contents: Contents) -> str:
    """Why the parity of a version is not exact; empty where it is.

    What the model's own library answers is the model's own answer.
    """
    report = contents.parity
    if contents.engine == NATIVE:
        return ""
    if report is None:
        return f"there was nothing to compare: {contents.engine_reason or 'no rows were given'}"
    if report.labels_differing or report.relative_error:
        return (
            f"{report.labels_differing} of {report.rows} rows differ, "
            f"and numbers by up to {report.relative_error:.3g} of their size"
        )
    return ""


def _judged(said: Any) -> Judged | None:
    value = _number(said["value"])
    return None if value is None else Judged(value, _number(said["low"]), _number(said["high"]))


def _number(said: Any) -> float | None:
    is_one = isinstance(said, int | float) and not isinstance(said, bool) and math.isfinite(said)
    return float(said) if is_one else None
