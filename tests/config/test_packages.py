"""The packages have names that others may have too: each must be the one of this tree."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize("name", ["auth", "certs", "config", "models", "service"])
def test_package_is_the_one_of_this_tree(name: str) -> None:
    package = importlib.import_module(name)

    assert [Path(folder) for folder in package.__path__] == [ROOT / name]
