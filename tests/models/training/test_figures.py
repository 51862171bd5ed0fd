"""Figures: the same each time, of texts that nobody vouches for, where no file can be opened."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure as Sheet
from sklearn.calibration import CalibratedClassifierCV

from models.training.answers import answers_of
from models.training.figures import Subject, figures_of, warm
from models.training.figures import classification as of_classes
from models.training.figures.drawing import Figure, draw
from models.training.figures.explaining import importances_of
from models.training.figures.learning import learning
from models.training.study import Study
from tests.models.training.studies import (
    case_of,
    evaluation_of,
    study_of_numbers,
    study_of_three,
    study_of_two,
)

HOSTILE = "$x^$ <script>\x01</style>&amp;"
COSTS = {"positive": "yes", "costs": {"no": {"yes": 5}}}


def subject_of(study: Study, **changed: Any) -> Subject:
    """What figures of a study are drawn of."""
    case = case_of(study)
    return Subject(
        study=study,
        fitted=case.fitted,
        train_rows=case.train,
        answers=answers_of(study, case.fitted, case.held),
        evaluation=evaluation_of(study, **changed),
    )


@pytest.fixture(scope="module")
def two() -> Subject:
    """A winner among two classes, of a column with an unkind name."""
    return subject_of(study_of_two(columns=(HOSTILE, "colour"), decide=COSTS))


@pytest.fixture(scope="module")
def figures(two: Subject) -> dict[str, Figure]:
    """All of its figures, drawn while no file could be opened."""
    warm()
    with _opened() as opened:
        drawn, failures = figures_of(two)
    assert opened == []
    assert failures == []
    return {each.name: each for each in drawn}


def test_there_is_a_figure_of_everything(figures: dict[str, Figure]) -> None:
    expected = "confusion roc pr calibration costs comparison search learning importance dependence"
    assert sorted(figures) == sorted(expected.split())
    numbers, failures = figures_of(subject_of(study_of_numbers()))
    expected = "predicted residuals comparison search learning importance dependence"
    assert [each.name for each in numbers] == expected.split()
    assert failures == []


def test_no_font_stays_open(figures: dict[str, Figure]) -> None:
    open_ones = {str(each.readlink()) for each in Path("/proc/self/fd").iterdir() if each.exists()}
    assert not [name for name in open_ones if name.endswith((".ttf", ".otf"))]


def test_the_same_winner_is_drawn_the_same(two: Subject, figures: dict[str, Figure]) -> None:
    again, _ = figures_of(two)
    assert {each.name: each.svg for each in again} == {n: f.svg for n, f in figures.items()}


def test_texts_are_text_and_no_markup(figures: dict[str, Figure]) -> None:
    for name in ("importance", "dependence"):
        svg = figures[name].svg
        assert "<script" not in svg
        texts = [each.text or "" for each in _elements(svg, "text")]
        assert any(text.startswith("$x^$ <script>\\x01") for text in texts), texts
    for each in figures.values():
        assert "http" not in each.svg.replace("http://www.w3.org/", "")
        assert each.about


def test_a_letter_that_the_font_lacks_is_left_to_the_browser() -> None:
    def paint(sheet: Sheet) -> None:
        sheet.add_subplot().set_xlabel("漢字")

    svg = draw(paint)
    assert "漢字" in svg
    assert "sans-serif" in svg


def test_of_many_classes_the_rarest_share_a_line() -> None:
    study = study_of_three()
    rng = np.random.default_rng(1)
    classes = tuple(range(50))
    truth = np.minimum(rng.geometric(0.1, 400), 49)
    many = replace(study, classes=classes, target=truth)
    subject = subject_of(study)
    answers = replace(
        subject.answers, study=many, rows=np.arange(400), truth=truth, answers=truth, odds=None
    )
    figure = of_classes.confusion(replace(subject, study=many, answers=answers))
    assert figure is not None
    assert "The 31 rarest labels are one line." in figure.about
    assert "400 of 400" not in figure.about
    texts = [each.text for each in _elements(figure.svg, "text")]
    assert texts.count("all others") == 2


def test_a_curve_has_no_more_points_than_can_be_seen() -> None:
    rng = np.random.default_rng(2)
    subject = subject_of(study_of_two())
    truth = np.array(["no", "yes"] * 5_000, dtype=object)
    likely = rng.random(10_000)
    answers = replace(
        subject.answers,
        rows=np.arange(10_000),
        truth=truth,
        answers=truth,
        odds=np.column_stack([1 - likely, likely]),
    )
    for draw_it in (of_classes.roc, of_classes.precision_recall):
        figure = draw_it(replace(subject, answers=answers))
        assert figure is not None
        assert len(figure.svg) < 60_000


def test_a_calibrated_winner_is_fitted_anew_without_its_calibration() -> None:
    subject = subject_of(study_of_two())
    rows = subject.train_rows
    halves = [(np.arange(40), np.arange(40, len(rows))), (np.arange(40, len(rows)), np.arange(40))]
    fitted = CalibratedClassifierCV(subject.fitted, cv=halves, ensemble=False)
    fitted.fit(subject.study.features.iloc[rows], subject.study.target[rows].astype(str))
    figure = learning(replace(subject, fitted=fitted))
    assert figure is not None
    assert "before it is calibrated" in figure.about


def test_what_matters_is_first_among_the_importances(two: Subject) -> None:
    found = importances_of(two)
    assert [each.column for each in found] == [HOSTILE, "colour"]
    assert found[0].mean > found[1].mean


def test_of_very_many_columns_some_are_looked_at_well() -> None:
    study = study_of_numbers()
    wide = study.features.assign(**{f"noise {at}": float(at) for at in range(30)})
    subject = subject_of(replace(study, features=wide))
    found = importances_of(subject)
    assert len(found) == 15
    assert found[0].column == "size"


def test_a_figure_that_fails_costs_no_training(two: Subject) -> None:
    broken = replace(two, evaluation={**two.evaluation, "searches": [{"trials": 3}]})
    drawn, failures = figures_of(broken)
    assert "search" not in {each.name for each in drawn}
    assert len(drawn) == 9
    (failure,) = failures
    assert failure.startswith("The figure search could not be drawn: TypeError: ")


@contextmanager
def _opened() -> Iterator[list[str]]:
    """The files that this process opens meanwhile."""
    opened: list[str] = []
    listening = True

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if listening and event in ("open", "os.open", "import", "subprocess.Popen"):
            opened.append(f"{event} {arguments[0]}")

    sys.addaudithook(hear)
    yield opened
    listening = False


def _elements(svg: str, name: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(svg).iter(f"{{http://www.w3.org/2000/svg}}{name}"))  # noqa: S314
