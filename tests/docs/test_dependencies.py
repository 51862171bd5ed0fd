"""Every dependency has its reason written down."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, code, table_after

WHY = ROOT / "docs" / "decisions" / "dependencies.md"


@pytest.mark.parametrize(
    ("requirements", "heading"),
    [
        ("requirements.in", "## The product"),
        ("requirements-boosting.in", "### boosting"),
        ("requirements-tensorflow.in", "### tensorflow"),
        ("requirements-s3.in", "### s3"),
        ("requirements-grpc.in", "### grpc"),
        ("requirements-otel.in", "### otel"),
        ("requirements-dev.in", "## Checks and tests"),
    ],
)
def test_every_dependency_has_its_reason_and_no_other_has(requirements: str, heading: str) -> None:
    lines = (ROOT / requirements).read_text().splitlines()
    wanted = [re.split(r"[\[<>=~!; ]", line)[0] for line in lines if line and line[0] != "#"]
    listed = table_after(WHY.read_text(), heading)
    assert sorted(code(row[0]) for row in listed) == sorted(wanted)
    for row in listed:
        assert len(row) == 4
        assert all(row), row


def test_every_file_of_requirements_has_a_lock_whose_every_pin_has_a_hash() -> None:
    for requirements in ROOT.glob("requirements*.in"):
        lock = requirements.with_suffix(".lock").read_text()
        pins = re.findall(r"^[a-z0-9][^ ]+==.*\n(.*)", lock, re.MULTILINE)
        assert pins, requirements.name
        assert all(after.startswith("    --hash=sha256:") for after in pins), requirements.name


def test_no_two_locks_disagree_about_a_version() -> None:
    everything = _pins(ROOT / "requirements-dev.lock")
    for lock in ROOT.glob("requirements*.lock"):
        assert _pins(lock) <= everything, lock.name


def _pins(lock: Path) -> set[str]:
    """The versions that a lock pins; the same name may have one for each release of Python."""
    return set(re.findall(r"^([a-z0-9][^ ;]+==[^ ;]+)", lock.read_text(), re.MULTILINE))
