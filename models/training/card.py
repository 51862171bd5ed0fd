"""The model card: Markdown with Hugging Face's front matter, in the sections that skops writes.

What others wrote, such as names of columns, is text in it and no markup.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import yaml

from models.training.shown import shown, shown_lines
from models.training.verdict import (
    against_baseline,
    champion_of,
    count,
    headline,
    in_a_sentence,
    number,
    percent,
    title_of,
    with_interval,
)

MOST_WEAK: Final = 5
MOST_PARAMS: Final = 60
MOST_METRICS: Final = 80
MOST_SHOWN: Final = 12  # columns of the example
_TASKS: Final = {"classification": "tabular-classification", "regression": "tabular-regression"}
_MARKUP: Final = re.compile(r"([\\`*_{}\[\]()#+!|<>~&$-])")


def card(evaluation: Mapping[str, Any]) -> str:
    """The model card of an evaluation."""
    parts = [
        _front_matter(evaluation),
        "# Model description",
        _description(evaluation),
        "## Intended uses & limitations",
        _limitations(evaluation),
        "## Training Procedure",
        _procedure(evaluation),
        "### Hyperparameters",
        _hyperparameters(evaluation["champion"]["params"]),
        "## Evaluation Results",
        _results(evaluation),
        "# How to Get Started with the Model",
        _start(evaluation),
        "# Model Card Authors",
        "Written by Sallyport from the results of the training. Whoever answers for the model "
        "adds their name here.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(evaluation: Mapping[str, Any]) -> str:
    matter = {
        "library_name": "sklearn",
        "tags": ["sklearn", "skops", _TASKS[evaluation["task"]], "sallyport"],
        "pipeline_tag": _TASKS[evaluation["task"]],
        "model_format": "skops",
        "model_file": "model.skops",
        "model-index": [_model_index(evaluation)],
    }
    return f"---\n{yaml.safe_dump(matter, sort_keys=False, allow_unicode=True)}---"


def _model_index(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """The results as Hugging Face lists them."""
    metrics = evaluation["holdout"]["metrics"]
    return {
        "name": shown(evaluation["model"]),
        "results": [
            {
                "task": {"type": _TASKS[evaluation["task"]]},
                "dataset": {"name": shown(evaluation["data"]["target"]), "type": "private"},
                "metrics": [
                    {"type": shown(name), "value": float(found["value"])}
                    for name, found in metrics.items()
                    if ":" not in name
                ],
            }
        ],
    }


def _description(evaluation: Mapping[str, Any]) -> str:
    data = evaluation["data"]
    said = "  \n".join(
        map(_text, shown_lines(evaluation["spec"].get("description", "")).split("\n"))
    )
    what = (
        f"A scikit-learn pipeline that predicts **{_text(data['target'])}** "
        f"({evaluation['task']}) from {len(_used(evaluation))} columns of raw records, by "
        f"{_text(champion_of(evaluation))}."
    )
    return "\n\n".join(filter(None, [said, what, f"**{_text(headline(evaluation))}.**"]))


def _limitations(evaluation: Mapping[str, Any]) -> str:
    lines = [
        f"It was trained on {count(evaluation['data']['train_rows'])} rows, and is as good as "
        "said below for rows like those. Later ones may differ: watch the drift of its log.",
        "It shows what goes together in the data, not what causes what.",
        against_baseline(evaluation),
    ]
    for weak in _weak(evaluation.get("slices", [])):
        lines.append(
            f"It is weaker where {_text(weak['column'])} is {_text(weak['values'])}: "
            f"{in_a_sentence(weak['metric'])} {number(weak['value'])} on "
            f"{count(weak['rows'])} held-out rows."
        )
    for finding in evaluation["data"]["findings"]:
        if finding["severity"] == "warning":
            lines.append(f"The data, {_text(finding['where'])}: {_text(finding['what'])}.")
    return "\n".join(f"- {line}" for line in lines if line)


def _procedure(evaluation: Mapping[str, Any]) -> str:
    validation, data = evaluation["validation"], evaluation["data"]
    lines = [
        f"{len(evaluation['leaderboard'])} candidates were compared by "
        f"{_text(in_a_sentence(evaluation['metric']))}, on {validation['folds']} "
        f"{validation['kind']} folds{_again(validation['repeats'])}.",
        f"Chosen: {_text(evaluation['champion']['why'])}",
        f"{count(data['held_rows'])} of {count(data['rows'])} rows were held out and seen by no "
        "candidate.",
        f"The table's SHA-256 is `{_code(data['digest'])}`, the seed {evaluation['seed']}.",
        "Libraries: "
        + ", ".join(f"{_text(name)} {_text(at)}" for name, at in evaluation["libraries"].items())
        + ".",
    ]
    return "\n".join(f"- {line}" for line in lines)


def _again(repeats: int) -> str:
    return f", {repeats} times" if repeats > 1 else ""


def _hyperparameters(params: Mapping[str, Any]) -> str:
    if not params:
        return "Those that are scikit-learn's defaults."
    rows = [(f"`{_code(name)}`", f"`{_code(value)}`") for name, value in params.items()]
    table = _table(("Hyperparameter", "Value"), rows[:MOST_PARAMS])
    return f"<details>\n<summary>Click to expand</summary>\n\n{table}\n\n</details>"


def _results(evaluation: Mapping[str, Any]) -> str:
    holdout = evaluation["holdout"]
    baseline = holdout.get("baseline") or {}
    rows = [
        (
            _text(title_of(name)),
            with_interval(found),
            number(baseline[name]["value"]) if name in baseline else "–",
        )
        for name, found in list(holdout["metrics"].items())[:MOST_METRICS]
    ]
    said = (
        f"On {count(holdout['rows'])} rows held out; in brackets the interval of "
        f"{percent(holdout['confidence'])} confidence."
    )
    table = _table(("Metric", "Value", "Baseline"), rows)
    return "\n\n".join(filter(None, [said, table, _decided(holdout.get("decisions"))]))


def _decided(decisions: Mapping[str, Any] | None) -> str:
    if decisions is None:
        return ""
    lines = [
        f"Deciding by cost, a row costs {with_interval(decisions['by_cost'])}; deciding for the "
        f"most probable label, {with_interval(decisions['by_probability'])}."
    ]
    if decisions["threshold"] is not None:
        lines.append(
            f"Decide for {_text(decisions['positive'])} from a probability of "
            f"{number(decisions['threshold'])} on."
        )
    if decisions["reject"]:
        lines.append(
            f"{percent(decisions['reject']['handed']['value'])} of the rows are better left to a "
            f"person; a row then costs {with_interval(decisions['reject']['expected_cost'])}."
        )
    return "\n".join(f"- {line}" for line in lines)


def _start(evaluation: Mapping[str, Any]) -> str:
    return f"""Over the platform's HTTPS API, with the token of an account that may call it, and raw
values by name; null is a missing one:

```sh
curl https://$SALLYPORT/predict -H "Authorization: Bearer $TOKEN" \\
  -H "Content-Type: application/json" -d '{_request(evaluation)}'
```

In Python, from the file that the platform stores:

```python
import pandas as pd
import skops.io

# Look at what the file asks to be trusted before you trust it.
trusted = skops.io.get_untrusted_types(file="model.skops")
model = skops.io.load("model.skops", trusted=trusted)
model.predict(pd.read_csv("rows.csv"))
```"""


def _request(evaluation: Mapping[str, Any]) -> str:
    """A request for one row, fit to stand between a shell's quotes."""
    used = _used(evaluation)[:MOST_SHOWN]
    record = {each["name"]: 0.0 if each["kind"] == "numeric" else "..." for each in used}
    request = {"model": evaluation["model"], "records": [record]}
    return json.dumps(request).replace("'", "\\u0027").replace("`", "\\u0060")


def _used(evaluation: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [each for each in evaluation["data"]["columns"] if each["kind"] not in ("id", "drop")]


def _weak(slices: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [each for each in slices if each.get("weaker")][:MOST_WEAK]


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(each)} |" for each in (heads, ["---"] * len(heads), *rows)]
    return "\n".join(lines)


def _text(value: object) -> str:
    """Somebody's text, of which nothing is markup."""
    return _MARKUP.sub(r"\\\1", shown(value, most=300))


def _code(value: object) -> str:
    """Somebody's text between backticks, in a table: it has neither a backtick nor a bar."""
    return shown(value).replace("`", "'").replace("|", "¦")
