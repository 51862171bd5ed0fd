"""What a check of the doctor says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

OK: Final = "ok"
WARNING: Final = "warning"
FAILED: Final = "failed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A state, what was found, and what to do unless all is well."""

    state: str
    found: str
    remedy: str = ""


def ok(found: str) -> Verdict:
    """All is well."""
    return Verdict(OK, found)


def warning(found: str, remedy: str) -> Verdict:
    """It works, and will not for ever."""
    return Verdict(WARNING, found, remedy)


def failed(found: str, remedy: str) -> Verdict:
    """It does not work, or is not safe."""
    return Verdict(FAILED, found, remedy)
