from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.errors import ArtefactBroken, InputRefused
from models.signature import Signature

SIGNATURE = Signature(
    task="classification",
    columns=2,
    feature_names=("age", "income"),
    dtype="float64",
    outputs=1,
    classes=("no", "yes"),
    methods=("predict",),
)


def test_fitting_rows_pass() -> None:
    SIGNATURE.check(np.ones((3, 2)))


@pytest.mark.parametrize("columns", [1, 3])
def test_wrong_number_of_columns_is_refused_with_the_columns_names(columns: int) -> None:
    with pytest.raises(InputRefused) as refused:
        SIGNATURE.check_columns(np.ones((3, columns)))

    assert refused.value.path == "/features"
    assert refused.value.problem == (f"{columns} columns, where the model takes 2 (age, income)")


def test_names_of_many_columns_are_not_all_listed() -> None:
    many = replace(SIGNATURE, columns=99, feature_names=tuple(f"c{n}" for n in range(99)))

    with pytest.raises(InputRefused, match=r"c7, \.\.\.\)"):
        many.check_columns(np.ones((1, 1)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_number_that_is_not_finite_is_refused_with_its_place(value: float) -> None:
    features = np.ones((4, 2))
    features[3, 1] = value

    with pytest.raises(InputRefused) as refused:
        SIGNATURE.check(features)

    assert refused.value.path == "/features/3/1"


def test_signature_survives_json() -> None:
    bare = replace(SIGNATURE, task="regression", feature_names=None, classes=None)

    for signature in (SIGNATURE, bare):
        assert Signature.from_json(signature.as_json()) == signature


def test_unknown_task_is_refused() -> None:
    with pytest.raises(ArtefactBroken, match="no task"):
        Signature.from_json(SIGNATURE.as_json() | {"task": "x"})
