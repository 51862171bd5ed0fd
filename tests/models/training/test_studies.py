from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models.errors import DataRefused, SpecRefused
from models.training.spec import read_spec
from models.training.studies import study_of
from models.training.study import ColumnPlan, Finding, Study
from models.training.tables import Table

ROWS = 60
RANDOM = np.random.default_rng(3)
NOISE = RANDOM.normal(size=ROWS)
LABELS = np.where(RANDOM.random(ROWS) < 0.5, "yes", "no").astype(object)
WORDS = ["fine", "poor", "meal", "room", "place", "stay", "never", "again"]


def _table(columns: Mapping[str, Any], target: Any = LABELS) -> Table:
    """A table of columns, of which lists are of texts, beside one of numbers and the target."""
    cells = {"noise": NOISE, **columns, "y": target}
    arrays = {
        name: np.array(cell, dtype=object) if isinstance(cell, list) else cell
        for name, cell in cells.items()
    }
    frame = pd.DataFrame({name: pd.Series(v, dtype=v.dtype) for name, v in arrays.items()})
    return Table(frame=frame, findings=(), digest="d", set_aside={})


def _study(columns: Mapping[str, Any], target: Any = LABELS, /, **said: Any) -> Study:
    spec = read_spec({"model": "small", "target": "y", **said})
    return study_of(spec, _table(columns, target))


def _plan(study: Study, name: str = "a") -> ColumnPlan:
    return next(plan for plan in study.plans if plan.name == name)


def _told(study: Study, where: str = "a") -> list[Finding]:
    return [finding for finding in study.findings if finding.where == where]


def _drawn(values: Sequence[Any]) -> list[Any]:
    return [values[at % len(values)] for at in range(ROWS)]


def _texts(make: Callable[[int], Any]) -> list[Any]:
    return [make(at) for at in range(ROWS)]


def _sentence(at: int) -> str:
    return " ".join(np.random.default_rng(at).choice(WORDS, 5))


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        pytest.param(NOISE * 2, "numeric", id="numbers"),
        pytest.param(NOISE > 0, "numeric", id="truth values"),
        pytest.param(RANDOM.integers(0, 5, ROWS), "numeric", id="few whole numbers"),
        pytest.param(_texts(lambda at: f"{at * 1.5}"), "numeric", id="numbers as texts"),
        pytest.param(_drawn(["true", "False", None, "true"]), "numeric", id="truth as texts"),
        pytest.param(_texts(lambda at: f"{at % 7:05}"), "categorical", id="codes with zeros"),
        pytest.param(_drawn(["red", "green", None, "blue"]), "categorical", id="categories"),
        pytest.param(_drawn(["low", "High", "medium"]), "ordinal", id="words in order"),
        pytest.param(_drawn(["18-25", "<18", "26+"]), "ordinal", id="ranges"),
        pytest.param(_drawn(["747-400", "320-200", "1-2"]), "categorical", id="no ranges"),
        pytest.param(_drawn(["10-30", "20-40", "40+"]), "categorical", id="ranges that overlap"),
        pytest.param(_texts(lambda at: f"2024-01-{at % 28 + 1:02}"), "date", id="dates"),
        pytest.param(_texts(lambda at: f"{at % 28 + 1}.5.2024"), "date", id="dates with points"),
        pytest.param(_texts(_sentence), "text", id="sentences"),
        pytest.param(_texts(lambda at: f"k{at:x}"), "id", id="a word for each row"),
        pytest.param(_texts(lambda at: f"k{max(at, 3):x}"), "id", id="a word for nearly each row"),
        pytest.param(_drawn(["k"]), "drop", id="a constant"),
        pytest.param(np.full(ROWS, 3.0), "drop", id="a constant number"),
        pytest.param(_drawn([None]), "drop", id="nothing"),
        pytest.param(np.full(ROWS, np.nan), "drop", id="no number"),
        pytest.param(LABELS.copy(), "drop", id="the target again"),
        pytest.param(NOISE.copy(), "drop", id="another column again"),
    ],
)
def test_column_is_taken_for_what_it_looks_like(cells: Any, kind: str) -> None:
    study = _study({"a": cells})
    plan = _plan(study)

    assert plan.kind == kind
    assert plan.reason
    assert ("a" in study.features) is (kind not in ("id", "drop"))


@pytest.mark.parametrize("name", ["id", "customer_id", "orderId", "ID", "row", "column_1"])
def test_number_of_each_row_is_an_id_where_it_is_called_so(name: str) -> None:
    numbers = RANDOM.permutation(ROWS) + 1000

    assert _plan(_study({name: numbers}), name).kind == "id"
    assert _plan(_study({"amount": numbers}), "amount").kind == "numeric"


def test_features_are_raw_numbers_and_texts() -> None:
    study = _study(
        {"a": NOISE > 0, "b": _drawn(["x", None]), "c": [*_drawn(["1.5", "2", ""])[:-1], None]}
    )

    assert study.features.dtypes.map(str).to_dict() == {
        "noise": "float64",
        "a": "float64",
        "b": "object",
        "c": "float64",
    }
    assert set(study.features["b"]) == {"x", None}


def test_few_cells_that_are_no_numbers_are_told_with_their_rows() -> None:
    cells: list[Any] = _texts(lambda at: str(at * 1.5))
    cells[6], cells[9] = "?", "unknown"
    study = _study({"a": cells})
    (told,) = _told(study)

    assert _plan(study).kind == "numeric"
    assert _plan(study).missing == told.count == 2
    assert told.severity == "warning"
    assert "rows 7, 10" in told.what
    assert "'?', 'unknown'" in told.what


def test_column_with_many_cells_that_are_no_numbers_is_kept_as_it_is() -> None:
    cells = _texts(lambda at: str(at % 40) if at % 4 else "closed")
    study = _study({"a": cells})

    assert _plan(study).kind == "categorical"
    assert study.features["a"].tolist() == cells
    assert any("mixed" in told.what for told in _told(study))


def test_infinite_numbers_are_missing_and_told() -> None:
    numbers = NOISE * 2
    numbers[4], numbers[7] = np.inf, -1e300
    study = _study({"a": numbers})

    assert np.isnan(study.features["a"].to_numpy()[[4, 7]]).all()
    assert "rows 5, 8" in _told(study)[0].what


def test_cells_that_are_no_dates_are_told_and_kept() -> None:
    cells = _texts(lambda at: f"2024-01-{at % 28 + 1:02}")
    cells[2] = "soon"
    study = _study({"a": cells})

    assert _plan(study).kind == "date"
    assert study.features["a"].tolist() == cells
    assert "row 3" in _told(study)[0].what


def test_dates_that_may_be_read_in_two_ways_are_told() -> None:
    both = _study({"a": _texts(lambda at: f"{at % 9 + 1:02}/{at % 11 + 1:02}/2024")})
    one = _study({"a": _texts(lambda at: f"{at % 9 + 1:02}/{at % 28 + 1:02}/2024")})

    assert any("day and month" in told.what for told in _told(both))
    assert not _told(one)


def test_values_that_differ_by_blanks_or_capitals_alone_are_told() -> None:
    assert any("capital" in told.what for told in _told(_study({"a": _drawn(["x", "X", "y"])})))


@pytest.mark.parametrize(
    ("cells", "said", "kind", "read"),
    [
        (RANDOM.integers(0, 3, ROWS), "categorical", "categorical", {"0", "1", "2"}),
        (np.where(NOISE > 0, 1.0, np.nan), "categorical", "categorical", {"1", None}),
        (NOISE > 0, "categorical", "categorical", {"true", "false"}),
        (_drawn(["1", "x", "2"]), "numeric", "numeric", None),
        (_drawn(["a b", "c d"]), "text", "text", {"a b", "c d"}),
        (_drawn(["2024-01-31", "x", "2"]), "date", "date", {"2024-01-31", "x", "2"}),
        (NOISE * 2, "drop", "drop", None),
        (NOISE * 2, "id", "id", None),
    ],
)
def test_spec_says_what_a_column_is(cells: Any, said: str, kind: str, read: Any) -> None:
    study = _study({"a": cells}, columns={"a": said})

    assert _plan(study).kind == kind
    assert _plan(study).reason == "as the spec says"
    if read:
        assert set(study.features["a"]) == read


def test_values_outside_an_order_are_told() -> None:
    said = {"kind": "ordinal", "order": ["1", "2"]}
    study = _study({"a": RANDOM.permutation(_drawn([1, 2, 3]))}, columns={"a": said})

    assert _plan(study).order == ("1", "2")
    assert _told(study)[0].count == ROWS / 3


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (_drawn(["x", "y"]), "numeric"),
        (_drawn(["x", "y"]), "date"),
        (NOISE * 2, "date"),
        (_drawn([None]), "categorical"),
        (_drawn(["x"]), {"kind": "ordinal", "order": ["a"]}),
    ],
)
def test_column_that_cannot_be_what_the_spec_says_is_refused(cells: Any, said: Any) -> None:
    with pytest.raises(DataRefused, match="'a'"):
        _study({"a": cells}, columns={"a": said})


@pytest.mark.parametrize(
    ("target", "task", "classes"),
    [
        (LABELS, "classification", ("no", "yes")),
        (NOISE > 0, "classification", (False, True)),
        (_drawn(["true", "false"]), "classification", (False, True)),
        ([*_drawn(["true", "false"])[1:], None], "classification", (False, True)),
        (RANDOM.integers(0, 3, ROWS), "classification", (0, 1, 2)),
        (_drawn(["1", "0"]), "classification", (0, 1)),
        (_drawn(["007", "008"]), "classification", ("007", "008")),
        (RANDOM.normal(size=ROWS), "regression", ()),
        (np.arange(ROWS), "regression", ()),
        (_texts(lambda at: f"{at / 4}"), "regression", ()),
    ],
)
def test_task_is_inferred_from_the_target_and_told(target: Any, task: str, classes: Any) -> None:
    study = _study({}, target)

    assert (study.task, study.classes) == (task, classes)
    assert set(map(type, study.classes)) == set(map(type, classes))
    assert any(task in told.what for told in _told(study, "y"))


def test_task_that_the_spec_says_is_not_inferred() -> None:
    study = _study({}, RANDOM.integers(0, 3, ROWS), task="regression")

    assert study.target.dtype == np.float64
    assert not any("the task is" in told.what for told in study.findings)


@pytest.mark.parametrize("missing", [None, np.nan, np.inf])
def test_rows_without_a_target_are_told_and_not_trained_on(missing: Any) -> None:
    target = LABELS.copy() if missing is None else NOISE * 3
    target[[1, 5]] = missing
    study = _study({"a": np.arange(ROWS) % 30}, target)

    assert study.rows == len(study.features) == ROWS - 2
    assert 1 not in study.features["a"].tolist()[:2]
    assert any("rows 2, 6" in told.what and told.count == 2 for told in _told(study, "y"))


def test_numbers_of_rows_are_those_of_the_file_though_some_are_left_out() -> None:
    target = LABELS.copy()
    target[:3] = None
    numbers = NOISE * 2
    numbers[10] = np.inf

    assert "row 11" in _told(_study({"a": numbers}, target))[0].what


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(np.array(_drawn(["x"]), object), id="one label"),
        pytest.param(np.full(ROWS, 3), id="one number"),
        pytest.param(_drawn([None]), id="nothing"),
        pytest.param(_texts(lambda at: f"label {at}"), id="a label for each row"),
        pytest.param(_drawn(["x" * 300, "y"]), id="a long label"),
        pytest.param(_drawn(["x", *[None] * 3]), id="few rows"),
    ],
)
def test_target_of_which_nothing_can_be_learnt_is_refused(target: Any) -> None:
    with pytest.raises(DataRefused):
        _study({}, target)


def test_table_without_the_target_is_refused_with_what_it_has() -> None:
    with pytest.raises(DataRefused, match="did you mean 'y'"):
        study_of(read_spec({"model": "m", "target": "Y"}), _table({}))


def test_table_with_nothing_to_learn_from_is_refused_with_the_reasons() -> None:
    with pytest.raises(DataRefused) as refused:
        _study({"a": _drawn(["k"])}, columns={"noise": "drop"})

    assert len(refused.value.report) == 2


@pytest.mark.parametrize(
    "said",
    [
        {"columns": {"nose": "drop"}},
        {"columns": {"y": "drop"}},
        {"validation": {"group": "team"}},
        {"validation": {"kind": "time", "time": "when"}},
    ],
)
def test_spec_that_names_another_column_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(SpecRefused):
        _study({}, **said)


def test_labels_alone_can_be_stratified() -> None:
    with pytest.raises(SpecRefused):
        _study({}, NOISE * 3, validation={"kind": "stratified"})


def test_folds_are_those_that_the_columns_ask_for() -> None:
    teams, days = _drawn(["a", "b", None]), _texts(lambda at: f"2024-01-{at % 28 + 1:02}")

    assert _study({}).splitting == "stratified"
    assert _study({}, NOISE * 3).splitting == "plain"
    grouped = _study({"team": teams}, validation={"group": "team"})
    assert grouped.splitting == "grouped"
    assert grouped.groups is not None
    assert len(set(grouped.groups.tolist())) == 2 + ROWS / 3  # each row without a team is alone
    timed = _study({"when": days}, validation={"time": "when"})
    assert timed.splitting == "time"
    assert timed.times is not None
    assert timed.times.astype("datetime64[D]").astype(str).tolist() == days
    assert "when" not in timed.features
    assert (
        "when"
        in _study({"when": days}, validation={"time": "when"}, columns={"when": "date"}).features
    )


def test_numbers_order_rows_as_times_do() -> None:
    years = RANDOM.permutation(ROWS) * 1.5
    study = _study({"when": years}, validation={"time": "when"})

    assert study.times is not None
    assert np.argsort(study.times).tolist() == np.argsort(years).tolist()


def test_rows_without_a_time_are_refused_where_time_counts() -> None:
    days = _texts(lambda at: f"2024-01-{at % 28 + 1:02}")
    days[8] = ""

    with pytest.raises(DataRefused, match="row 9"):
        _study({"when": days}, validation={"time": "when"})


def test_feature_that_knows_the_target_is_told() -> None:
    known = np.where(LABELS == "yes", 5.0, -5.0) + NOISE / 9
    study = _study({"a": known, "b": _drawn(["x", "z"])})

    assert "balanced accuracy" in _told(study)[0].what
    assert not _told(study, "b")
    assert not _told(study, "noise")


def test_feature_that_knows_a_number_is_told() -> None:
    target = np.linspace(0, 9, ROWS)

    assert any("R²" in told.what for told in _told(_study({"a": target * 2 + 1}, target)))
    assert not _told(_study({"a": RANDOM.permutation(target)}, target))


def test_feature_that_is_called_like_the_target_is_noted() -> None:
    spec = read_spec({"model": "m", "target": "outcome"})
    table = _table({"outcome_at": NOISE * 2, "outcome": LABELS})
    study = study_of(
        spec, Table(frame=table.frame.drop(columns="y"), findings=(), digest="", set_aside={})
    )

    assert [told.severity for told in _told(study, "outcome_at")] == ["note"]


def test_copies_of_rows_and_answers_that_contradict_are_told() -> None:
    numbers, labels, noise = NOISE * 2, LABELS.copy(), NOISE.copy()
    numbers[[40, 50]], noise[[40, 50]] = numbers[3], noise[3]
    labels[[3, 40]], labels[50] = "yes", "no"
    frame = _table({"a": numbers}, labels).frame.assign(noise=noise)
    study = study_of(
        read_spec({"model": "m", "target": "y"}),
        Table(frame=frame, findings=(), digest="", set_aside={}),
    )
    copies, contradictions = _told(study, "table")

    assert (copies.count, contradictions.count) == (1, 3)
    assert "row 41)" in copies.what
    assert "rows 4, 41, 51" in contradictions.what
    assert copies.severity == "warning"


def test_rows_of_few_categories_are_alike_by_chance() -> None:
    study = _study({"a": _drawn(["p", "q"])}, columns={"noise": "drop"})

    assert {told.severity for told in _told(study, "table")} == {"note"}


def test_rare_labels_are_told() -> None:
    target = np.array(["often"] * 57 + ["rare"] * 3, dtype=object)
    uneven, few = [told for told in _told(_study({}, target), "y") if told.severity == "warning"]

    assert "rare: 3" in uneven.what
    assert "balance = true" in uneven.remedy
    assert "fewer than 5" in few.what
    assert "balance = true" not in _told(_study({}, target, balance=True), "y")[1].remedy


def test_label_of_one_row_cannot_be_stratified() -> None:
    target = np.array([*_drawn(["p", "q"])[:-1], "alone"], dtype=object)

    assert _study({}, target).splitting == "plain"


def test_same_table_and_seed_give_the_same_study() -> None:
    columns = {"a": _drawn(["x", None, "z"]), "b": _texts(_sentence)}
    first, second = _study(columns), _study(columns)

    assert first.plans == second.plans
    assert first.findings == second.findings
    assert first.features.equals(second.features)
