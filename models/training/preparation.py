"""From raw columns to numbers, by scikit-learn's own parts: what of it is learnt is learnt by fit.

A table of numbers alone needs no ColumnTransformer: without one, more engines take the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import KFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
    TargetEncoder,
)

from models.date_parts import DateParts
from models.dates import PARTS, form_of
from models.training.cells import distinct
from models.training.study import ColumnPlan, Study

MOST_MARKS: Final = 30  # categories of a column that each get a mark of their own
RARE: Final = 5  # rows of which there have to be as many for a category to count
MOST_WORDS: Final = 300  # of all text columns together
NO_TEXT: Final = "missing"  # the word that stands for a text that is not there
UNSEEN: Final = -1


def preparer(study: Study, *, scaled: bool) -> Any:
    """An unfitted transformer of the study's columns to dense numbers."""
    groups = _groups(study, scaled=scaled)
    if [name for name, _, _ in groups] == ["numbers"]:
        return groups[0][1]
    return ColumnTransformer(groups, remainder="drop", sparse_threshold=0.0)


def _groups(study: Study, *, scaled: bool) -> list[tuple[str, Any, list[str]]]:
    plans = [plan for plan in study.plans if plan.name in study.features.columns]
    of_kind = {
        kind: [p for p in plans if p.kind == kind]
        for kind in ("numeric", "ordinal", "categorical", "date", "text")
    }
    numeric = of_kind["numeric"]
    few = [plan for plan in of_kind["categorical"] if plan.unique <= MOST_MARKS]
    many = [plan for plan in of_kind["categorical"] if plan.unique > MOST_MARKS]
    groups = [
        ("numbers", _numbers(numeric, scaled=scaled, alone=numeric == plans), numeric),
        ("orders", _orders(of_kind["ordinal"], scaled=scaled), of_kind["ordinal"]),
        ("marks", _marks(), few),
        ("means", _means(study, scaled=scaled), many),
        *(
            (f"date_{at}", _dates(study, p, scaled=scaled), [p])
            for at, p in enumerate(of_kind["date"])
        ),
        ("words", _words(len(of_kind["text"])), of_kind["text"]),
    ]
    return [(name, part, [plan.name for plan in own]) for name, part, own in groups if own]


def _numbers(plans: Sequence[ColumnPlan], *, scaled: bool, alone: bool) -> Any:
    """Numbers, filled and marked where they were missing.

    Beside other columns, for which nothing has to be there, they may be missing later too.
    """
    if alone and not any(plan.missing for plan in plans):
        return _chained(_scaling(scaled=scaled))
    filled = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    return _chained([filled, *_scaling(scaled=scaled)])


def _orders(plans: Sequence[ColumnPlan], *, scaled: bool) -> Any:
    encoder = OrdinalEncoder(
        categories=[list(plan.order) for plan in plans],
        handle_unknown="use_encoded_value",
        unknown_value=UNSEEN,
    )
    return _chained([encoder, *_scaling(scaled=scaled)])


def _marks() -> Any:
    return OneHotEncoder(
        min_frequency=RARE, handle_unknown="infrequent_if_exist", sparse_output=False
    )


def _means(study: Study, *, scaled: bool) -> Any:
    kind = "continuous"
    if study.task == "classification":
        kind = "binary" if len(study.classes) == 2 else "multiclass"
    folds = KFold(5, shuffle=True, random_state=study.spec.seed)
    return _chained([TargetEncoder(target_type=kind, cv=folds), *_scaling(scaled=scaled)])


def _dates(study: Study, plan: ColumnPlan, *, scaled: bool) -> Any:
    known = distinct(study.features[plan.name].to_numpy())[1]
    form, _ = form_of(known)
    timed = any(":" in text for text in known)
    parts = tuple(part for part in PARTS if part != "hour" or timed)
    filled = SimpleImputer(strategy="median", keep_empty_features=True)
    return _chained([DateParts(form, parts), filled, *_scaling(scaled=scaled)])


def _words(count: int) -> Any:
    """One vectorizer for each column, which a vectorizer takes no more than one of."""
    most = max(1, MOST_WORDS // max(1, count))
    several = [(f"words_{at}", TfidfVectorizer(max_features=most), at) for at in range(count)]
    filled = SimpleImputer(
        missing_values=None, strategy="constant", fill_value=NO_TEXT, keep_empty_features=True
    )
    return Pipeline(
        [("filled", filled), ("split", ColumnTransformer(several, sparse_threshold=0.0))]
    )


def _scaling(*, scaled: bool) -> list[Any]:
    return [StandardScaler()] if scaled else []


def _chained(parts: list[Any]) -> Any:
    if not parts:
        return FunctionTransformer(feature_names_out="one-to-one")
    if len(parts) == 1:
        return parts[0]
    return Pipeline([(type(part).__name__.lower(), part) for part in parts])
