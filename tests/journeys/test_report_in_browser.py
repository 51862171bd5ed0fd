"""The report of a training as people see it: in a real browser that reaches nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from models.training.reporting import report
from tests.journeys.browser import Browser, Page, browser
from tests.models.training.studies import case_of, evaluation_of, study_of_two

HOSTILE = ("<script>document.title='taken'</script>", "\"'></style><img src=x onerror=alert(1)>$x$")
COSTS = {"yes": {"no": 1}, "no": {"yes": 5}}
SIZES = """(async () => {
  const pictures = [...document.querySelectorAll("figure img")];
  await Promise.all(pictures.map(picture => picture.decode()));
  return pictures.map(picture => {
    const place = picture.getBoundingClientRect();
    return [picture.closest("figure").id, picture.naturalWidth, place.width, place.height,
            picture.alt];
  });
})()"""


@dataclass(frozen=True)
class Reported:
    """A report as it was made, and the browser to look at it."""

    evaluation: dict[str, Any]
    path: Path
    browser: Browser

    def open(self) -> Page:
        """The report in the browser."""
        return self.browser.open(self.path.as_uri())


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reported]:
    """A report whose columns and description would have it run scripts."""
    folder = tmp_path_factory.mktemp("report")
    with browser(folder) as running:
        study = study_of_two(
            columns=HOSTILE,
            description=f"{HOSTILE[0]}\n</pre></style>\x07\u202e{HOSTILE[1]}",
            decide={"positive": "yes", "costs": COSTS, "reject_cost": 0.5},
        )
        case = case_of(study)
        evaluation, page = report(
            study, [], [], case.fitted, case.train, case.held, evaluation_of(study)
        )
        path = folder / "report.html"
        path.write_bytes(page)
        yield Reported(evaluation, path, running)


def test_every_figure_is_seen(reported: Reported) -> None:
    page = reported.open()
    seen = {name.removeprefix("figure-"): sizes for name, *sizes in page.ask(SIZES)}
    named = [each["name"] for each in reported.evaluation["figures"]]
    assert sorted(seen) == sorted(named)
    expected = {"confusion", "roc", "pr", "calibration", "costs", "comparison", "search"}
    assert expected | {"learning", "importance", "dependence"} == set(named)
    for natural, width, height, told in seen.values():
        assert min(natural, width, height) > 100
        assert told


def test_nothing_is_loaded_from_elsewhere_and_nothing_runs(reported: Reported) -> None:
    page = reported.open()
    page.ask(SIZES)
    assert page.requests == [reported.path.as_uri()]
    assert page.complaints == []
    assert page.ask("document.scripts.length + document.querySelectorAll('[onerror]').length") == 0
    assert page.ask("document.title") == "demo: training report"


def test_names_of_columns_are_read_as_they_are(reported: Reported) -> None:
    page = reported.open()
    heads = page.ask("[...document.querySelectorAll('#data tbody th')].map(e => e.textContent)")
    assert set(HOSTILE) <= set(heads)
    description = page.ask("document.querySelector('header').textContent")
    assert HOSTILE[1] in description
    assert r"\x07\u202e" in description


def test_a_page_that_would_load_and_run_is_found_out(reported: Reported) -> None:
    """The page's own rules stop both; this is how the tests above would know."""
    added = (
        b"<img src=http://elsewhere.example/x.png><script>document.title='taken'</script></main>"
    )
    spoilt = reported.path.with_name("spoilt.html")
    spoilt.write_bytes(reported.path.read_bytes().replace(b"</main>", added))
    page = reported.browser.open(spoilt.as_uri())
    refused = json.dumps(page.complaints)
    assert "img-src" in refused
    assert "script-src" in refused
    assert page.ask("document.title") == "demo: training report"


def test_on_a_phone_nothing_but_tables_moves_sideways(reported: Reported) -> None:
    page = reported.open()
    page.order(
        "Emulation.setDeviceMetricsOverride",
        width=360,
        height=740,
        deviceScaleFactor=2,
        mobile=True,
    )
    assert page.ask("document.documentElement.scrollWidth") == 360
    widths = page.ask("[...document.querySelectorAll('figure img')].map(e => e.width)")
    assert 250 < min(widths) <= max(widths) < 360


def test_in_the_dark_letters_stand_out_from_the_ground(reported: Reported) -> None:
    page = reported.open()
    light = page.ask(COLOURS)
    page.order(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}]
    )
    dark = page.ask(COLOURS)
    assert light["ground"] > 600 > 200 > light["ink"]
    assert dark["ground"] < 200 < 600 < dark["ink"]
    page.order("Emulation.setEmulatedMedia", media="print", features=[])
    assert page.ask("getComputedStyle(document.querySelector('nav')).display") == "none"


COLOURS = """(() => {
  const sum = colour => colour.match(/[0-9]+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0);
  const style = getComputedStyle(document.body);
  return {ground: sum(style.backgroundColor), ink: sum(style.color)};
})()"""
