"""The model card: Hugging Face's front matter, skops' sections, and names that stay names."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import pytest
import yaml
from markdown_it import MarkdownIt

from models.training.card import card
from models.training.heldout import evaluate_heldout
from models.training.study import Study
from tests.models.training.studies import case_of, evaluation_of, study_of_two

HOSTILE = "it's `x` | <script>*bold*</script> [a](http://b.example) ---"
SECTIONS = [
    ("h1", "Model description"),
    ("h2", "Intended uses & limitations"),
    ("h2", "Training Procedure"),
    ("h3", "Hyperparameters"),
    ("h2", "Evaluation Results"),
    ("h1", "How to Get Started with the Model"),
    ("h1", "Model Card Authors"),
]


@pytest.fixture(scope="module")
def evaluation() -> dict[str, Any]:
    """An evaluation of columns with unkind names."""
    return _evaluation(
        study_of_two(
            columns=("size", HOSTILE),
            description=f"{HOSTILE}\nand a second line",
            decide={"positive": "yes", "costs": {"no": {"yes": 5}}, "reject_cost": 0.4},
        )
    )


def test_the_front_matter_is_hugging_faces(evaluation: dict[str, Any]) -> None:
    _, matter, _ = card(evaluation).split("---\n", 2)
    read = yaml.safe_load(matter)
    assert read["library_name"] == "sklearn"
    assert read["model_format"] == "skops"
    assert {"sklearn", "skops", "tabular-classification"} <= set(read["tags"])
    results = read["model-index"][0]["results"][0]
    told = {each["type"]: each["value"] for each in results["metrics"]}
    assert told["accuracy"] == evaluation["holdout"]["metrics"]["accuracy"]["value"]


def test_the_sections_are_those_of_skops(evaluation: dict[str, Any]) -> None:
    tokens = MarkdownIt().parse(_body(evaluation))
    heads = [
        (each.tag, tokens[at + 1].content)
        for at, each in enumerate(tokens)
        if each.type == "heading_open"
    ]
    assert heads == SECTIONS


def test_texts_of_others_are_no_markup(evaluation: dict[str, Any]) -> None:
    html = MarkdownIt().enable("table").render(_body(evaluation))
    assert "<script" not in html
    assert "<a " not in html
    assert "<em>bold" not in html
    assert "and a second line" in html
    assert html.count("<table>") == 2


def test_the_request_can_be_sent_as_it_is(evaluation: dict[str, Any]) -> None:
    command = re.search(r"```sh\n(.*?)```", _body(evaluation), re.DOTALL)
    assert command is not None
    words = shlex.split(command.group(1))
    request = json.loads(words[words.index("-d") + 1])
    assert request == {"model": "demo", "records": [{"size": 0.0, HOSTILE: "..."}]}


def test_weaknesses_and_warnings_are_its_limitations(evaluation: dict[str, Any]) -> None:
    weak = {
        "column": "colour",
        "values": "= red",
        "rows": 12,
        "metric": "balanced_accuracy",
        "value": 0.61,
        "weaker": True,
    }
    told = card({**evaluation, "slices": [{**weak, "column": "other", "weaker": False}, weak]})
    assert "weaker where colour is = red: balanced accuracy 0.610 on 12 held-out rows" in told
    assert "other" not in told
    assert "The data, size: cells are missing." in told


def test_what_to_decide_is_told(evaluation: dict[str, Any]) -> None:
    told = _body(evaluation)
    assert "Decide for yes from a probability of 0.167 on." in told
    assert "better left to a person" in told


def _evaluation(study: Study) -> dict[str, Any]:
    case = case_of(study)
    holdout = evaluate_heldout(study, case.fitted, case.held, confidence=0.95)
    return evaluation_of(study, holdout=holdout, slices=[])


def _body(evaluation: dict[str, Any]) -> str:
    return card(evaluation).split("---\n", 2)[2]
