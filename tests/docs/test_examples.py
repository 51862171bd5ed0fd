"""What the README and the tutorial tell people to paste works as pasted."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, blocks
from tests.journeys.platform import Running, printed, running

ADDRESS = "https://localhost:8443"
TUTORIAL = ROOT / "docs" / "tutorial" / "first-prediction.md"


@pytest.fixture
def clone(demo_instance: Path) -> Iterator[Running]:
    """A served demo installation in a folder that looks like a clone after `make serve`."""
    folder = demo_instance.parent
    (folder / ".venv").symlink_to(sys.prefix)
    for name in ("manage.py", "examples"):
        (folder / name).symlink_to(ROOT / name)
    with running(demo_instance) as platform:
        yield platform


@pytest.mark.drill
def test_the_readme_works_as_pasted(clone: Running) -> None:
    printed = paste(clone, blocks((ROOT / "README.md").read_text(), "bash"))
    assert printed.count('"prediction":[15.0]') == 1
    assert '"prediction": [15.0]' in printed  # by examples/client.py
    assert re.search(r"^new +[\w-]{43}$", printed, re.MULTILINE), "the keys were rotated"


@pytest.mark.drill
def test_the_tutorial_works_as_pasted(clone: Running) -> None:
    printed = paste(clone, blocks(TUTORIAL.read_text(), "bash"))
    assert '"prediction":[0,2],"model":"iris","version":1' in printed
    assert '"engine":"linear"' in printed
    assert "insufficient-scope" in printed
    assert '"violated_policies":["model_requests_per_minute"]' in printed
    assert '"prediction":[2]' in printed[printed.index("retired") :], "an old token works on"
    assert "invalid-token" in printed[printed.index("retired") :], "a deleted tenant's is refused"


def paste(clone: Running, shown: list[str]) -> str:
    """Run the blocks one after another in one shell, in the clone's folder."""
    lines = "\n".join(shown).replace(ADDRESS, clone.url)
    words = ["bash", "-euo", "pipefail", "-c", lines]
    return printed(words, cwd=clone.instance.parent, environment=clone.environment)
