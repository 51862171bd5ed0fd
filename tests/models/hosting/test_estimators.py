"""Every estimator answers within the sandbox as it does outside, and imports nothing there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from models.hosting.starting import scrubbed_environment
from tests.models.every_estimator import names
from tests.models.hosting.trials import LIBRARIES

ROOT = Path(__file__).resolve().parent.parent.parent.parent


@pytest.fixture(scope="module")
def trials() -> dict[str, Any]:
    """What became of each estimator and library."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tests.models.hosting.trials"],
        env=scrubbed_environment() | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", names())
def test_it_answers_as_it_does_outside(trials: dict[str, Any], name: str) -> None:
    assert trials[name] == []


@pytest.mark.parametrize("name", LIBRARIES)
def test_what_hosts_use_besides_works_too(trials: dict[str, Any], name: str) -> None:
    assert trials[name] == []
