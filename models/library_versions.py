"""Which releases of a library may open what another release has saved."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from importlib.metadata import version

from models.errors import LibraryVersionRefused


@functools.cache
def running_version(library: str) -> str:
    """The version of an installed distribution."""
    return version(library)


def refuse_other_versions(library: str, saved: Iterable[str]) -> None:
    """Raise LibraryVersionRefused unless every version is ours, up to the last part.

    scikit-learn promises nothing about files between releases; between two of the same minor
    version the attributes of estimators do not change.
    """
    for other in saved:
        if is_other_version(library, other):
            raise LibraryVersionRefused(library, other, running_version(library))


def is_other_version(library: str, saved: str) -> bool:
    """Whether a version is not ours, up to the last part."""
    return _minor(saved) != _minor(running_version(library))


def _minor(text: str) -> list[str]:
    return text.split(".")[:2]
