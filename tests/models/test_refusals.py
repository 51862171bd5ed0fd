"""What is said of model files that are none: what is wrong with them, and what to do."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from models.errors import (
    EstimatorRefused,
    FormatRefused,
    GivenRowsRefused,
    IntakeRefused,
    LibraryVersionRefused,
)
from tests.models.files import npy_bytes, skops_bytes
from tests.models.workshops import ANY, joblib_bytes, take_in

ROWS = np.arange(20.0).reshape(-1, 1)
LINE = LinearRegression().fit(ROWS, 2 * ROWS[:, 0])
HALVES = LogisticRegression().fit(ROWS, (ROWS[:, 0] > 9).astype(int))


@pytest.mark.parametrize("name", ["nowhere.models.Own", "sklearn.linear_model.Own", "__main__.Own"])
def test_class_that_nobody_here_has_is_named_with_a_way_out(name: str) -> None:
    module, _, own = name.rpartition(".")
    data = f"\x02c{module}\n{own}\n."

    with pytest.raises(FormatRefused) as refused:
        take_in(b"\x80" + data.encode(), formats=ANY)

    assert f"it needs {name}, which is not on this platform" in str(refused.value)
    assert "export it to ONNX" in refused.value.remedy


def test_file_that_fails_otherwise_names_only_the_failure() -> None:
    with pytest.raises(FormatRefused, match=r"cannot be opened: [A-Za-z]+$"):
        take_in(joblib_bytes(LINE)[:-10], formats=ANY)


@pytest.mark.parametrize("content", [{"model": LINE}, [LINE], 7, "a text", LinearRegression])
def test_what_is_no_estimator_is_told_so(content: object) -> None:
    with pytest.raises(EstimatorRefused, match="it is no estimator; save the fitted estimator"):
        take_in(joblib_bytes(content), formats=ANY)


def test_archive_that_was_cut_off_is_told_so() -> None:
    data = skops_bytes(LINE)

    with pytest.raises(FormatRefused, match="begins like a zip archive that is cut off or broken"):
        take_in(data[: len(data) // 2], formats=ANY)


def test_answers_of_another_shape_name_the_method_that_was_asked() -> None:
    given = {"rows": npy_bytes(ROWS), "answers": npy_bytes(HALVES.predict_proba(ROWS))}

    with pytest.raises(GivenRowsRefused, match=r"\(20, 2\), what predict gives is \(20,\)"):
        take_in(skops_bytes(HALVES), **given)


def test_wrong_answer_is_shown_as_a_plain_number() -> None:
    wrong = HALVES.predict(ROWS)
    wrong[3] = 5

    with pytest.raises(GivenRowsRefused, match="is row 4: 0 where 5 was expected"):
        take_in(skops_bytes(HALVES), rows=npy_bytes(ROWS), answers=npy_bytes(wrong))


def test_refusal_of_another_version_names_no_way_of_asking() -> None:
    refused: IntakeRefused = LibraryVersionRefused("scikit-learn", "1.2.0", "1.9.1")

    assert refused.remedy == "save it anew with 1.9.1, or accept the difference of versions"
