from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from models.date_parts import DateParts
from models.dates import FORMS, ISO, PARTS, form_of, read_date
from models.errors import FormatRefused
from models.handlers.skops_file import SkopsFile, write_skops
from tests.models.files import with_schema

MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1))  # noqa: DTZ001


def _parts(text: Any, form: str = ISO) -> dict[str, float]:
    rows = pd.DataFrame({"when": pd.Series([text], dtype=object)})
    made = DateParts(form).fit(rows).transform(rows)
    return dict(zip(PARTS, made[0].tolist(), strict=True))


def _opened(part: DateParts) -> Any:
    return SkopsFile().open(write_skops(part)).estimator


@settings(max_examples=50, deadline=None)
@given(MOMENTS, st.sampled_from(FORMS))
def test_date_of_any_form_is_read_as_it_was_written(moment: datetime, form: str) -> None:
    text = moment.isoformat() if form == ISO else moment.strftime(form)
    read = read_date(text, form)

    assert read is not None
    assert read.date() == moment.date()


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=50) | st.none() | st.floats() | st.binary(), st.sampled_from(FORMS))
def test_whatever_a_cell_holds_has_parts_or_none(cell: Any, form: str) -> None:
    made = _parts(cell, form)

    assert made["missing"] == float(np.isnan(made["days"]))


def test_parts_are_those_of_the_calendar() -> None:
    made = _parts("2024-07-31T18:30")

    assert {name: made[name] for name in ("year", "month", "day", "weekday", "hour")} == {
        "year": 2024.0,
        "month": 7.0,
        "day": 31.0,
        "weekday": 2.0,
        "hour": 18.5,
    }
    assert made["month_sin"] == pytest.approx(0)
    assert made["month_cos"] == pytest.approx(-1)
    assert made["days"] == pytest.approx(
        datetime(2024, 7, 31, 18, 30, tzinfo=UTC).timestamp() / 86400
    )


def test_moment_with_a_zone_is_that_of_utc() -> None:
    assert _parts("2024-01-01T00:30+02:00") == _parts("2023-12-31T22:30Z")


@pytest.mark.parametrize(
    "text", ["", "2024-02-30", "20240131", "31.1.24x", "nan", "0000-01-01", None]
)
def test_what_is_no_date_is_missing(text: str | None) -> None:
    made = _parts(text)

    assert made.pop("missing") == 1.0
    assert all(np.isnan(value) for value in made.values())


@pytest.mark.parametrize(
    ("texts", "form"),
    [
        (["2024-01-31", "2024-02-01"], ISO),
        (["31.01.2024", "01.02.2024"], "%d.%m.%Y"),
        (["01/31/2024", "01/02/2024"], "%m/%d/%Y"),
        (["31/01/2024", "01/02/2024"], "%d/%m/%Y"),
        (["31 Jan 2024"], "%d %b %Y"),
    ],
)
def test_form_is_the_one_that_reads_most(texts: list[str], form: str) -> None:
    assert form_of(texts) == (form, 1.0)


def test_texts_without_dates_have_a_form_of_none_of_them() -> None:
    assert form_of(["a", "b"])[1] == 0
    assert form_of([])[1] == 0


def test_stored_part_opens_and_answers_as_before() -> None:
    rows = pd.DataFrame({"a": ["2024-01-31", None], "b": ["x", "2023-05-06"]}, dtype=object)
    part = DateParts(parts=("year", "missing")).fit(rows)
    again = _opened(part)

    assert np.array_equal(again.transform(rows), part.transform(rows), equal_nan=True)
    assert again.get_feature_names_out().tolist() == ["a_year", "a_missing", "b_year", "b_missing"]
    assert clone(again).get_params() == part.get_params()


def test_other_columns_than_it_was_fitted_on_are_refused() -> None:
    part = DateParts().fit(np.array([["2024-01-31"]], dtype=object))

    with pytest.raises(ValueError, match="1 columns are wanted"):
        part.transform(np.array([["2024-01-31", "2024-01-31"]], dtype=object))


@pytest.mark.parametrize(
    "members",
    [
        {"form": "%c"},
        {"form": 3},
        {"form": ["iso"]},
        {"parts": ()},
        {"parts": ["year"]},
        {"parts": ("year",) * 100},
        {"parts": ("__class__",)},
        {"parts": (3,)},
        {"n_features_in_": 0},
        {"n_features_in_": 10**9},
        {"n_features_in_": True},
        {"n_features_in_": "1"},
        {"feature_names_in_": np.array(["a", "b"], dtype=object)},
        {"feature_names_in_": ["a"]},
        {"feature_names_in_": np.array([3.0])},
        {"transform": np.amax},
        {"fit": 3},
        {"_sklearn_output_config": {"transform": "pandas"}},
    ],
)
def test_file_may_not_set_what_no_fit_does(members: dict[str, Any]) -> None:
    part = DateParts().fit(np.array([["2024-01-31"]], dtype=object))
    _opened(part)
    part.__dict__.update(members)

    with pytest.raises(FormatRefused):
        _opened(part)


@pytest.mark.parametrize("gone", ["form", "parts"])
def test_file_may_not_leave_out_how_dates_are_read(gone: str) -> None:
    part = DateParts().fit(np.array([["2024-01-31"]], dtype=object))
    del part.__dict__[gone]

    with pytest.raises(FormatRefused):
        SkopsFile().open(_dumped(part))


def _dumped(part: DateParts) -> bytes:
    return bytes(skops.io.dumps(part))


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        ("models.date_parts", "read_date"),
        ("models.date_parts", "datetime"),
        ("models.handlers.skops_file", "SkopsFile"),
        ("models.date_parts.DateParts", "fit"),
        ("models", "date_parts"),
    ],
)
def test_nothing_else_of_ours_is_opened(module: str, kind: str) -> None:
    part = DateParts().fit(np.array([["2024-01-31"]], dtype=object))

    def change(schema: dict[str, Any]) -> None:
        schema.update(__module__=module, __class__=kind)

    with pytest.raises(FormatRefused):
        SkopsFile().open(with_schema(write_skops(part), change))


@pytest.mark.parametrize("loader", ["TypeNode", "FunctionNode", "ReduceNode", "BoundMethodNode"])
def test_it_is_opened_as_an_object_alone(loader: str) -> None:
    part = DateParts().fit(np.array([["2024-01-31"]], dtype=object))

    def change(schema: dict[str, Any]) -> None:
        schema.update(__loader__=loader)

    with pytest.raises(FormatRefused):
        SkopsFile().open(with_schema(write_skops(part), change))


def test_pipeline_with_dates_is_found_unsound_within() -> None:
    rows = np.array([["2024-01-31"], ["2024-02-01"]], dtype=object)
    model = make_pipeline(DateParts(), SimpleImputer(), Ridge()).fit(rows, [1.0, 2.0])
    model[0].form = "%c"

    with pytest.raises(FormatRefused, match="form"):
        SkopsFile().open(write_skops(model))
