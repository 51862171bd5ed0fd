"""Whether an opened model means what it says: native code follows its indices unchecked.

An altered child or feature index in a tree is data by every rule of a file format, and makes
scikit-learn read or write outside its memory, or walk in a circle for ever. So is each index,
count and position here. What numpy and scikit-learn check by themselves when they predict is left
to them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from models.errors import FormatRefused
from models.estimators import parts_of
from models.soundness.date_parts import check_date_parts
from models.soundness.trees import check_histogram_model, check_neighbours, check_owner, check_tree

MT19937_WORDS: Final = 624
PHILOX_WORDS: Final = 4
LARGEST_HASH: Final = 2**31 - 1
CLASSIFYING_MACHINES: Final = frozenset({"NuSVC", "SVC"})

Check = Callable[[Any], None]


def refuse_unsound(estimator: object) -> None:
    """Raise FormatRefused if a part of an estimator has an index that leads nowhere."""
    for part in parts_of(estimator):
        name = type(part).__name__
        check = CHECKS.get(name) or (_check_sparse if hasattr(part, "tocsr") else None)
        if check is not None and _is_fitted(name, part):
            _checked(check, part)
        _checked(check_owner, part)


def _is_fitted(name: str, part: Any) -> bool:
    """Whether a part has what it predicts by; estimators hold others that they never fit."""
    return name not in FITTED or FITTED[name] in vars(part)


def _checked(check: Check, part: Any) -> None:
    """What a check cannot even look at is not what such a part is made of."""
    try:
        check(part)
    except FormatRefused:
        raise
    except Exception as error:
        problem = f"its {type(part).__name__} is malformed: {error}"[:300]
        raise FormatRefused(problem) from error


def _require(holds: bool, problem: str) -> None:
    if not holds:
        raise FormatRefused(problem)


def _within(values: Any, count: int) -> bool:
    indices = np.asarray(values)
    return indices.dtype.kind in "iu" and bool(((indices >= 0) & (indices < count)).all())


def _check_random_state(part: Any) -> None:
    state = part.get_state(legacy=False)["state"]
    at = state.get("pos", 0)
    _require(0 <= at <= MT19937_WORDS, f"a random state stands at {at} of {MT19937_WORDS} words")


def _check_generator(part: Any) -> None:
    state = part.bit_generator.state
    at = state.get("buffer_pos", 0)
    inner = state.get("state")
    _require(0 <= at <= PHILOX_WORDS, f"a random generator stands at {at} of {PHILOX_WORDS} words")
    if isinstance(inner, dict) and "pos" in inner:
        known = 0 <= inner["pos"] <= MT19937_WORDS
        _require(known, f"a random generator stands at {inner['pos']} of {MT19937_WORDS} words")


def _check_sparse(part: Any) -> None:
    if part.format in ("csr", "csc", "bsr"):
        part.check_format(full_check=True)
    elif part.format == "coo":
        rows, columns = part.shape
        _require(
            _within(part.row, rows) and _within(part.col, columns), "a sparse matrix is broken"
        )
    else:
        raise FormatRefused(f"it holds a sparse matrix of the format {part.format}")


def _check_machine(part: Any) -> None:
    """A support vector machine: libsvm takes its sizes from one array and reads the others."""
    count = len(part.support_)
    per_class = np.asarray(part._n_support)
    classes = len(per_class) if type(part).__name__ in CLASSIFYING_MACHINES else 2
    pairs = classes * (classes - 1) // 2
    several = classes - 1
    _require(
        part._dual_coef_.shape == (several, count), "its support vectors have not one weight each"
    )
    _require(len(part._intercept_) == pairs, "its intercepts are not one for each pair of classes")
    for probability in (part._probA, part._probB):
        _require(
            len(probability) in (0, pairs), "its probabilities are not of each pair of classes"
        )
    if type(part).__name__ in CLASSIFYING_MACHINES:
        whole = int(per_class.astype(np.int64).sum()) == count and bool((per_class >= 0).all())
        _require(whole, "its support vectors are not as many as its classes say")
        _require(len(part.classes_) == classes, "its classes are not as many as it says")
    if part.kernel == "precomputed":
        _require(_within(part.support_, part.shape_fit_[1]), "it names rows that are not there")
        _require(part.shape_fit_[1] == part.n_features_in_, "it was fitted on other columns")
    else:
        expected = (count, part.n_features_in_)
        _require(part.support_vectors_.shape == expected, "its support vectors have other columns")


def _check_neighbour_classes(part: Any) -> None:
    """Classes of neighbours: counted in arrays that are as long as there are classes."""
    labels = np.asarray(part._y)
    columns = [labels] if labels.ndim == 1 else list(labels.T)
    classes = part.classes_ if isinstance(part.classes_, list) else [part.classes_]
    fitted = part._fit_X.shape[0]
    _require(len(columns) == len(classes), "its outputs are not as many as its classes")
    for column, known in zip(columns, classes, strict=True):
        _require(len(column) == fitted, "its neighbours have not one class each")
        _require(_within(column, len(known)), "a neighbour is of a class that is not there")


def _check_centres(part: Any) -> None:
    centres = part.cluster_centers_
    fits = centres.ndim == 2 and centres.shape[1] == part.n_features_in_ and len(centres) > 0
    _require(fits, "its centres have not as many columns as it takes")
    tree = [getattr(part, "_bisecting_tree", None)]
    while tree:
        node = tree.pop()
        if node is not None:
            _require(np.shape(node.center) == (centres.shape[1],), "a centre has other columns")
            tree.extend((node.left, node.right))


def _check_vocabulary(part: Any) -> None:
    """Words are columns of a sparse matrix that is as wide as there are words."""
    vocabulary = part.vocabulary_
    numbers = np.sort(np.array(list(vocabulary.values())))
    whole = numbers.dtype.kind in "iu" and np.array_equal(numbers, np.arange(len(vocabulary)))
    _require(bool(whole), "its vocabulary does not number its words one by one")


def _check_hashing(part: Any) -> None:
    known = type(part.n_features) is int and 0 < part.n_features <= LARGEST_HASH
    _require(known, f"it hashes into {part.n_features} columns")


def _check_one_hot(part: Any) -> None:
    """One column for each category: the indices are counted, the width is stored."""
    expected = [int(width) for width in part._compute_n_features_outs()]
    _require(
        list(part._n_features_outs) == expected, "its columns are not as many as its categories"
    )
    mappings = getattr(part, "_default_to_infrequent_mappings", None) or []
    for mapping, categories, width in zip(mappings, part.categories_, expected, strict=False):
        if mapping is not None:
            # One more than there are columns where one of the categories was dropped.
            fits = len(mapping) == len(categories) and _within(mapping, width + 1)
            _require(fits, "a category leads to a column that is not there")


def _check_spline(part: Any) -> None:
    knots, weights, degree = np.asarray(part._t), np.asarray(part._c), part.k
    ordered = knots.ndim == 1 and bool(np.isfinite(knots).all() and (np.diff(knots) >= 0).all())
    fits = type(degree) is int and degree >= 0 and len(knots) >= 2 * degree + 2
    _require(ordered and fits, "the knots of a spline are out of order, or too few")
    _require(len(weights) >= len(knots) - degree - 1, "a spline has fewer weights than knots")


def _named(kinds: str, check: Check) -> dict[str, Check]:
    return dict.fromkeys(kinds.split(), check)


# What an estimator cannot predict without; it raises an error of its own where that is missing.
FITTED: Final[dict[str, str]] = {
    **dict.fromkeys(("CountVectorizer", "TfidfVectorizer"), "vocabulary_"),
    **dict.fromkeys(
        ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor"), "_predictors"
    ),
    **dict.fromkeys(("KMeans", "MiniBatchKMeans", "BisectingKMeans"), "cluster_centers_"),
    **dict.fromkeys(("KNeighborsClassifier", "RadiusNeighborsClassifier"), "_y"),
    **dict.fromkeys(("NuSVC", "NuSVR", "OneClassSVM", "SVC", "SVR"), "support_"),
    "OneHotEncoder": "categories_",
}
CHECKS: Final[dict[str, Check]] = {
    "Tree": check_tree,
    "HistGradientBoostingClassifier": check_histogram_model,
    "HistGradientBoostingRegressor": check_histogram_model,
    "RandomState": _check_random_state,
    "Generator": _check_generator,
    "BSpline": _check_spline,
    "DateParts": check_date_parts,
    "HashingVectorizer": _check_hashing,
    "FeatureHasher": _check_hashing,
    "OneHotEncoder": _check_one_hot,
    **_named("KDTree KDTree64 KDTree32 BallTree BallTree64 BallTree32", check_neighbours),
    **_named("SVC NuSVC SVR NuSVR OneClassSVM", _check_machine),
    **_named("KNeighborsClassifier RadiusNeighborsClassifier", _check_neighbour_classes),
    **_named("KMeans MiniBatchKMeans BisectingKMeans", _check_centres),
    **_named("CountVectorizer TfidfVectorizer", _check_vocabulary),
}
