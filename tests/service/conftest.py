"""The command line over an installation of the test's own."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.command_line import CommandLine


@pytest.fixture
def logs_kept() -> Iterator[None]:
    """Give the log back to pytest after commands have taken it."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def manage(demo_instance: Path, logs_kept: None) -> CommandLine:
    """The command line over a copy of the demo."""
    return CommandLine(demo_instance)
