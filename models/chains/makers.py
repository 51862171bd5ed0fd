"""What each estimator that is made of estimators becomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.chains.asking import ANYTHING
from models.chains.placing import Made, Maker, Node, Placer, check_of, makes_sparse
from models.compilation.numeric.functions import function
from models.compilation.numeric.projections import selection
from models.compilation.numeric.taking import Taken, flag, floats_of, ragged, text, texts_of, whole
from models.compilation.numeric.words import words
from models.errors import EstimatorNotHeld
from models.labels import plain_labels

NUMERIC: Final = "numeric"
SCORES: Final = ("decision_function", "predict_proba")


def numeric(taken: Taken, check: str = ANYTHING) -> Node:
    """A node of the engine of single estimators."""
    kind, arrays = taken
    return Node(NUMERIC, {"kind": np.array([kind]), **arrays}, check)


def pipeline(estimator: Any, placer: Placer) -> Made:
    """Stages; those that only pass rows on are left out."""
    stages = [stage for _, stage in estimator.steps if stage is not None and stage != "passthrough"]
    last = estimator.steps[-1][1]
    children, given = [], placer.sparse
    for stage in stages:
        children.append(placer.place(stage))
        placer.sparse = placer.sparse or makes_sparse(stage)
    placer.sparse = given
    if last is None or last == "passthrough" or not children:
        children.append(placer.add(numeric(function(None))))
    return "pipeline", {}, children


def union(estimator: Any, placer: Placer) -> Made:
    """Transformers side by side."""
    listed = [(name, part) for name, part in estimator.transformer_list if part != "drop"]
    weights = estimator.transformer_weights
    arrays = {}
    if weights:
        arrays["weights"] = floats_of([weights.get(name, 1.0) for name, _ in listed])
    children = [_transformer(part, placer) for _, part in listed]
    return "union", arrays, children


def columns(estimator: Any, placer: Placer) -> Made:
    """Transformers of some columns each, in the order of what they make."""
    children, places = [], []
    for name, part, wanted in estimator.transformers_:
        own = np.asarray(list(estimator._transformer_to_input_indices[name]), np.int64)
        if isinstance(part, str) and part == "drop":
            continue
        if not len(own):
            continue
        if isinstance(wanted, str | int) and not isinstance(wanted, bool):
            children.append(placer.add(numeric(words(part))))
        else:
            children.append(_transformer(part, placer))
        places.append(own)
    flat, ends = ragged(places)
    count = whole(estimator.n_features_in_)
    return "columns", {"places": flat, "ends": ends, "columns": count}, children


def _transformer(part: Any, placer: Placer) -> int:
    if part is None or (isinstance(part, str) and part == "passthrough"):
        return placer.add(numeric(function(None)))
    return placer.place(part)


def selected(estimator: Any, placer: Placer) -> Made:
    """Recursive elimination: the estimator of the columns that are left."""
    picks = placer.add(numeric(selection(np.asarray(estimator.get_support())), check_of(estimator)))
    return "selected", {}, [picks, placer.place(estimator.estimator_)]


def vote(estimator: Any, placer: Placer) -> Made:
    """Voters by majority or by probability."""
    children = [placer.place(part) for part in estimator.estimators_]
    weights, classes = estimator._weights_not_none, plain_labels(estimator.le_.classes_)
    if estimator.voting == "hard":
        given = np.ones(len(children)) if weights is None else weights
        return "hard_vote", {"weights": floats_of(given), "classes": classes}, children
    arrays = {"classes": classes, "flat": flag(estimator.flatten_transform)}
    if weights is not None:
        arrays["weights"] = floats_of(weights)
    return "soft_vote", arrays, children


def average(estimator: Any, placer: Placer) -> Made:
    """Numbers by their weighted mean."""
    children = [placer.place(part) for part in estimator.estimators_]
    weights = estimator._weights_not_none
    return "average", {} if weights is None else {"weights": floats_of(weights)}, children


def bag(estimator: Any, placer: Placer) -> Made:
    """Parts that see some columns each."""
    parts = estimator.estimators_
    places = [np.asarray(own, np.int64) for own in estimator.estimators_features_]
    flat, ends = ragged(places)
    arrays = {"places": flat, "ends": ends, "columns": whole(estimator.n_features_in_)}
    classifies = hasattr(estimator, "classes_")
    voting = classifies and not hasattr(parts[0], "predict_proba")
    if classifies:
        arrays["classes"] = plain_labels(estimator.classes_)
        counts = {len(part.classes_) for part in parts}
        if counts != {len(estimator.classes_)}:
            raise EstimatorNotHeld("a part of it has seen some of the labels only")
    children = [placer.place(part) for part in parts]
    logarithmic = hasattr(parts[0], "predict_log_proba")
    arrays |= {"voting": flag(voting), "logarithmic": flag(logarithmic)}
    return "bag", arrays, children


def boosted_labels(estimator: Any, placer: Placer) -> Made:
    """AdaBoost of classifiers."""
    children = [placer.place(part) for part in estimator.estimators_]
    weights = floats_of(estimator.estimator_weights_[: len(children)])
    return (
        "boosted_labels",
        {
            "weights": weights,
            "classes": plain_labels(estimator.classes_),
        },
        children,
    )


def boosted_numbers(estimator: Any, placer: Placer) -> Made:
    """AdaBoost of regressors."""
    children = [placer.place(part) for part in estimator.estimators_]
    weights = floats_of(estimator.estimator_weights_)[: len(children)]
    return "boosted_numbers", {"weights": weights}, children


def stack(estimator: Any, placer: Placer) -> Made:
    """A last estimator over the answers of others."""
    pairs = [
        (part, method)
        for part, method in zip(estimator.estimators_, estimator.stack_method_, strict=True)
        if part != "drop"
    ]
    children = [placer.place(part) for part, _ in pairs]
    arrays = {
        "methods": texts_of([method for _, method in pairs]),
        "passes": flag(estimator.passthrough),
        "drops": flag(len(getattr(estimator, "classes_", ())) == 2),
    }
    if hasattr(estimator, "classes_"):
        arrays["classes"] = plain_labels(estimator.classes_)
    return "stack", arrays, [*children, placer.place(estimator.final_estimator_)]


def responses(parts: Sequence[Any]) -> NDArray[np.str_]:
    """The method by which scikit-learn asks each decider."""
    return texts_of(["predict" if is_regressor(part) else scoring(part) for part in parts])


def scoring(part: Any) -> str:
    """The method that gives a classifier's scores: the first that it has."""
    return next(method for method in SCORES if hasattr(part, method))


def is_regressor(part: Any) -> bool:
    """Whether an estimator says that it answers with numbers."""
    tags = getattr(part, "__sklearn_tags__", None)
    return tags is not None and tags().estimator_type == "regressor"


def rest(estimator: Any, placer: Placer) -> Made:
    """One decider for each label."""
    if estimator.multilabel_:
        raise EstimatorNotHeld("it gives many labels to a row")
    children = [placer.place(part) for part in estimator.estimators_]
    return (
        "each_against_rest",
        {
            "methods": responses(estimator.estimators_),
            "classes": plain_labels(estimator.classes_),
        },
        children,
    )


def pairs(estimator: Any, placer: Placer) -> Made:
    """One decider for each pair of labels."""
    if getattr(estimator, "pairwise_indices_", None) is not None:
        raise EstimatorNotHeld("its kernel was computed before")
    children = [placer.place(part) for part in estimator.estimators_]
    return (
        "each_against_each",
        {
            "methods": responses(estimator.estimators_),
            "classes": plain_labels(estimator.classes_),
        },
        children,
    )


def codes(estimator: Any, placer: Placer) -> Made:
    """Deciders that say a label's code."""
    children = [placer.place(part) for part in estimator.estimators_]
    return (
        "coded_labels",
        {
            "methods": responses(estimator.estimators_),
            "codes": floats_of(estimator.code_book_),
            "classes": plain_labels(estimator.classes_),
        },
        children,
    )


def several(estimator: Any, placer: Placer) -> Made:
    """One estimator for each target."""
    return "several", {}, [placer.place(part) for part in estimator.estimators_]


def succession(estimator: Any, placer: Placer) -> Made:
    """Estimators that see the answers of those before."""
    parts = estimator.estimators_
    classifies = hasattr(estimator, "classes_")
    if classifies and any(len(part.classes_) != 2 for part in parts):
        raise EstimatorNotHeld("a target of it has other than two labels")
    places = np.empty(len(parts), np.int64)
    places[np.asarray(estimator.order_)] = np.arange(len(parts))
    return (
        "succession",
        {
            "places": places,
            "method": text(getattr(estimator, "chain_method_", "predict")),
            "classifies": flag(classifies),
        },
        [placer.place(part) for part in parts],
    )


MAKERS_HERE: Final[Mapping[str, Maker]] = MappingProxyType(
    {
        "Pipeline": pipeline,
        "FeatureUnion": union,
        "ColumnTransformer": columns,
        "RFE": selected,
        "RFECV": selected,
        "VotingClassifier": vote,
        "VotingRegressor": average,
        "BaggingClassifier": bag,
        "BaggingRegressor": bag,
        "AdaBoostClassifier": boosted_labels,
        "AdaBoostRegressor": boosted_numbers,
        "StackingClassifier": stack,
        "StackingRegressor": stack,
        "OneVsRestClassifier": rest,
        "OneVsOneClassifier": pairs,
        "OutputCodeClassifier": codes,
        "MultiOutputClassifier": several,
        "MultiOutputRegressor": several,
        "ClassifierChain": succession,
        "RegressorChain": succession,
    }
)
