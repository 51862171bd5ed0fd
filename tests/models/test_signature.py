from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.errors import ArtefactBroken, InputRefused, MethodUnknown
from models.signature import Output, Part, Signature
from models.tables import Features, Table

SIGNATURE = Signature(
    task="classification",
    columns=2,
    feature_names=("age", "income"),
    classes=("no", "yes"),
    methods={"predict": Output("text"), "predict_proba": Output("number", 2)},
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


def test_tensors_of_a_graph_survive_json_and_leave_nothing_where_there_are_none() -> None:
    parts = (Part("sum", 2), Part("label"))
    methods = {"predict": Output("number", 3, parts)}
    graph = replace(SIGNATURE, inputs=(Part("both", 2),), methods=methods)
    written = SIGNATURE.as_json()

    assert Signature.from_json(graph.as_json()) == graph
    assert "inputs" not in written
    assert all(method.keys() == {"name", "dtype", "width"} for method in written["methods"])


def test_part_of_an_answer_names_its_method_where_outputs_are_asked_for_alone() -> None:
    methods = {"predict": Output("number", 3, (Part("sum", 2), Part("label")))}
    graph = replace(SIGNATURE, methods=methods)

    assert graph.method_of("label") == graph.method_of("predict") == "predict"
    with pytest.raises(MethodUnknown, match="sum, label, predict"):
        graph.method_of("other")
    with pytest.raises(MethodUnknown):
        graph.check_method("label")


def _texts(*values: str | None) -> Table:
    return Table((np.ones(len(values)), np.array(values, dtype=object)))


MIXED = replace(SIGNATURE, kinds=("number", "text"), categories={1: ("high", "low")}, missing=False)


def test_signature_with_kinds_survives_json() -> None:
    assert Signature.from_json(MIXED.as_json()) == MIXED


def test_table_of_the_models_kinds_passes() -> None:
    MIXED.check(_texts("low", "high"))


@pytest.mark.parametrize(
    ("features", "path"),
    [
        (np.ones((2, 2)), "/features/0/1"),
        (Table((np.ones(2), np.ones(2))), "/features/0/1"),
        (Table((_texts("a", "b").columns[1],) * 2), "/features/0/0"),
        (_texts("low", None), "/features/1/1"),
        (Table((np.array([1.0, np.nan]), _texts("a", "b").columns[1])), "/features/1/0"),
    ],
)
def test_value_of_another_kind_or_a_missing_one_is_refused_with_its_place(
    features: Features, path: str
) -> None:
    with pytest.raises(InputRefused) as refused:
        MIXED.check(features)

    assert refused.value.path == path


def test_missing_values_pass_where_the_model_takes_them_and_infinities_never() -> None:
    tolerant = replace(MIXED, missing=True)
    tolerant.check(Table((np.array([np.nan, 1.0]), np.array([None, "low"], dtype=object))))

    with pytest.raises(InputRefused, match="finite"):
        tolerant.check(Table((np.array([np.inf]), np.array(["low"], dtype=object))))


def test_method_meant_is_the_first_unless_named() -> None:
    assert SIGNATURE.check_method(None) == "predict"
    assert SIGNATURE.check_method("predict_proba") == "predict_proba"
    with pytest.raises(MethodUnknown, match="predict, predict_proba"):
        SIGNATURE.check_method("transform")


def test_unknown_task_is_refused() -> None:
    with pytest.raises(ArtefactBroken, match="no task"):
        Signature.from_json(SIGNATURE.as_json() | {"task": "x"})
