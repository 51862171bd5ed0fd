"""Formats: how a model file is recognised and opened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

MOST_OPENED_BYTES: Final = 4 * 1024**3


@dataclass(frozen=True, slots=True)
class Opened:
    """An estimator, and the scikit-learn versions that it was saved by, if not ours."""

    estimator: Any
    other_versions: tuple[str, ...]


class Handler(Protocol):
    """Knows one format by its first bytes, never by a file's name.

    A handler is one module here and one line in `models.intake`. `runs_code` says that opening a
    file of this format runs what the file says: only an operator may ask for that.
    """

    name: str
    library: str
    runs_code: bool

    def sniff(self, data: bytes) -> bool:
        """Say whether the bytes are of this format."""
        ...

    def open(self, data: bytes) -> Opened:
        """Open a model file; raises FormatRefused saying what it holds that it may not."""
        ...
