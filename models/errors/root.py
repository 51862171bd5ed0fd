"""The root of the errors of models."""

from __future__ import annotations


class ModelsError(Exception):
    """The root of this package's errors."""
