"""The page: all of an evaluation, nothing from elsewhere, and no text that becomes markup."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from models.training.figures.drawing import Figure
from models.training.page import page
from models.training.reporting import report
from models.training.shown import shown
from models.training.verdict import against_baseline, headline, in_a_sentence, number
from tests.models.training.studies import case_of, evaluation_of, study_of_two

HOSTILE = "</style></td><script>alert('x')</script>\"'&"
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


class Read(HTMLParser):
    """What elements a page has, with which attributes, and what texts."""

    def __init__(self, html: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        """All texts, with any run of white space as one space."""
        return re.sub(r"\s+", " ", "".join(self.texts))


@pytest.fixture(scope="module")
def evaluation() -> dict[str, Any]:
    """A whole evaluation, as it is stored."""
    study = study_of_two(description="Who says yes?")
    case = case_of(study)
    completed, _ = report(study, [], [], case.fitted, case.train, case.held, evaluation_of(study))
    return dict(json.loads(json.dumps(completed)))


def test_a_stored_evaluation_is_a_page_again(evaluation: dict[str, Any]) -> None:
    read = Read(page(evaluation))
    for said in (
        headline(evaluation),
        "Who says yes?",
        "Better than the baseline beyond chance.",
        "failed: it did not converge",
        "size: cells are missing",
        "all of its values are numbers",
    ):
        assert said in read.text
    assert headline(evaluation).startswith("Forest, balanced accuracy 0.")
    assert headline(evaluation).endswith("on 54 held-out rows; the baseline 0.500")


def test_nothing_comes_from_elsewhere_and_nothing_runs(evaluation: dict[str, Any]) -> None:
    svg = '<svg xmlns="http://www.w3.org/2000/svg"/>'
    figure = Figure(name="roc", title="ROC", about="It is drawn", svg=svg)
    read = Read(page(evaluation, [figure]))
    assert ("meta", {"http-equiv": "Content-Security-Policy", "content": POLICY}) in read.elements
    addresses = [
        value or ""
        for _, attributes in read.elements
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "action", "data", "style")
    ]
    assert all(each.startswith(("data:", "#")) for each in addresses)
    assert not {"script", "object", "iframe", "form", "base"} & {tag for tag, _ in read.elements}
    pictures = [attributes for tag, attributes in read.elements if tag == "img"]
    assert [each["alt"] for each in pictures] == ["ROC. It is drawn"]


def test_every_text_of_others_stays_a_text(evaluation: dict[str, Any]) -> None:
    hostile = _with_every_text(evaluation, HOSTILE)
    plain, spoilt = Read(page(evaluation)), Read(page(hostile))
    assert spoilt.text.count("<script>alert('x')</script>") > 20
    # Tables may have other rows, but there are no other kinds of elements or attributes.
    assert {tag for tag, _ in spoilt.elements} <= {tag for tag, _ in plain.elements}
    names = {name for _, attributes in spoilt.elements for name in attributes}
    assert names <= {name for _, attributes in plain.elements for name in attributes}


def test_cells_of_tables_know_their_heads(evaluation: dict[str, Any]) -> None:
    heads = [attributes for tag, attributes in Read(page(evaluation)).elements if tag == "th"]
    assert heads
    assert {each["scope"] for each in heads} == {"col", "row"}


def test_very_many_columns_and_long_names_make_no_endless_page(evaluation: dict[str, Any]) -> None:
    column = {"kind": "numeric", "reason": "r" * 5_000, "missing": 0, "unique": 1}
    columns = [{**column, "name": f"{at}" * 2_000} for at in range(2_000)]
    wide = {**evaluation, "data": {**evaluation["data"], "columns": columns}}
    html = page(wide)
    assert len(html) < 400_000
    assert "1,700 further columns" in Read(html).text


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.1, 0.2, "Better than"), (-0.1, 0.2, "Not better"), (-0.2, -0.1, "Worse than")],
)
def test_the_verdict_is_honest_about_the_baseline(low: float, high: float, said: str) -> None:
    lead = {"metric": "accuracy", "difference": 0.1, "low": low, "high": high}
    assert against_baseline({"holdout": {"lead": lead}}).startswith(said)
    assert against_baseline({"holdout": {"lead": None}}) == ""


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "–"),
        (0.0, "0.000"),
        (0.96149, "0.961"),
        (12.345, "12.35"),
        (123.45, "123.5"),
        (12345.6, "12,346"),
        (1234567.0, "1.23e+06"),
        (0.00001, "1.00e-05"),
        (-0.5, "-0.500"),
    ],
)
def test_numbers_have_the_digits_that_matter(value: float | None, said: str) -> None:
    assert number(value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("a\x00b\nc", r"a\x00b\nc"),
        ("\u202eabc", r"\u202eabc"),
        ("\ud800", r"\ud800"),
        ("\ufffe", r"\ufffe"),
        ("naïve 漢字 نام\u200cه", "naïve 漢字 نام\u200cه"),
        ("x" * 1_000, "x" * 79 + "…"),
        (None, "None"),
    ],
)
def test_what_cannot_be_seen_is_written_out(value: object, said: str) -> None:
    assert shown(value) == said


def _with_every_text(value: Any, text: str) -> Any:
    """The same document, with something unkind in every text that comes from outside."""
    if isinstance(value, dict):
        fixed = ("task", "metric", "created_at", "severity", "by")
        return {n: v if n in fixed else _with_every_text(v, text) for n, v in value.items()}
    if isinstance(value, list):
        return [_with_every_text(each, text) for each in value]
    return f"{text}{value}" if isinstance(value, str) else value


def test_metrics_are_named_in_sentences_as_their_letters_and_classes_demand() -> None:
    assert in_a_sentence("roc_auc") == "ROC AUC"
    assert in_a_sentence("recall:Yes") == "recall of Yes"
