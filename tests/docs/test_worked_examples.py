"""The worked examples run whole as their pages say, in a small form, and end as served models."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.training.spec import parse_spec
from tests.docs.markdown import ROOT, blocks
from tests.journeys.platform import Running, printed, running

EXAMPLES = ROOT / "examples"
# Rows that are enough for two cheap algorithms to pass the example's own gate.
SMALL = {"recommendation": 1200, "credit_risk": 500, "road_signs": 200, "diagnosis": 160}
CHEAP = {
    "recommendation": ("logistic",),
    "credit_risk": ("logistic", "naive_bayes"),
    "road_signs": ("logistic",),
    "diagnosis": ("logistic",),
}


@pytest.fixture(scope="module")
def clone(demo_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A served demo installation in a folder that looks like a clone, with smaller examples."""
    folder = tmp_path_factory.mktemp("clone")
    shutil.copytree(demo_template, folder / "instance", symlinks=True)
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "manage.py").symlink_to(ROOT / "manage.py")
    for name in SMALL:
        shutil.copytree(EXAMPLES / name, folder / "examples" / name)
        spec = folder / "examples" / name / "spec.toml"
        spec.write_text(smaller(spec.read_text(), CHEAP[name]))
    with running(folder / "instance") as platform:
        yield platform


def smaller(spec: str, algorithms: tuple[str, ...]) -> str:
    """The spec with few folds, trials and algorithms, and one process."""
    for name, value in (
        ("folds", "2"),
        ("repeats", "1"),
        ("trials", "2"),
        ("best", "1"),
        ("algorithms", json.dumps(algorithms)),
    ):
        spec = re.sub(rf"^{name} = .*$", f"{name} = {value}", spec, flags=re.MULTILINE)
    return f'{spec}\n[parallel]\nbackend = "sequential"\n'


@pytest.mark.drill
@pytest.mark.parametrize("name", SMALL)
def test_an_example_ends_as_a_served_model_with_its_report(clone: Running, name: str) -> None:
    folder = clone.instance.parent
    page = "\n".join(blocks((EXAMPLES / name / "README.md").read_text(), "bash"))
    lines = page.replace("data.py\n", f"data.py --rows {SMALL[name]}\n")
    words = ["bash", "-euo", "pipefail", "-c", lines]
    said = printed(words, cwd=folder, environment=clone.environment)
    spec = parse_spec((EXAMPLES / name / "spec.toml").read_text())
    assert "champion points at it" in said
    report = folder / "examples" / name / f"{spec.model}-report.html"
    assert report.read_text().startswith("<!DOCTYPE html>")
    evaluation = json.loads(report.with_suffix(".json").read_text())
    assert not evaluation["leaderboard"][0]["baseline"]
    answers = (folder / "examples" / name / "answers.csv").read_text().splitlines()
    asked = (folder / "examples" / name / "asked.csv").read_text().splitlines()
    assert len(answers) == len(asked) > 2


@pytest.mark.parametrize("name", SMALL)
def test_an_example_names_what_there_is(name: str) -> None:
    spec = parse_spec((EXAMPLES / name / "spec.toml").read_text())
    assert spec.description
    assert set(CHEAP[name]) <= set(spec.compare.algorithms)
    assert f"--model {spec.model} " in (EXAMPLES / name / "README.md").read_text()
