"""Every dependency has its reason written down."""

from __future__ import annotations

import re

import pytest

from tests.docs.markdown import ROOT, code, table_after

WHY = ROOT / "docs" / "decisions" / "dependencies.md"


@pytest.mark.parametrize(
    ("requirements", "heading"),
    [("requirements.in", "## The product"), ("requirements-dev.in", "## Checks and tests")],
)
def test_every_dependency_has_its_reason_and_no_other_has(requirements: str, heading: str) -> None:
    lines = (ROOT / requirements).read_text().splitlines()
    wanted = [re.split(r"[\[<>=~!; ]", line)[0] for line in lines if line and line[0] != "#"]
    listed = table_after(WHY.read_text(), heading)
    assert sorted(code(row[0]) for row in listed) == sorted(wanted)
    for row in listed:
        assert len(row) == 4
        assert all(row), row
