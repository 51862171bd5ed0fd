"""What estimators become that correct another one's answers: thresholds, calibration, targets."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.chains.makers import numeric, scoring
from models.chains.placing import Made, Maker, Node, Placer
from models.compilation.numeric.constants import TAKERS as CONSTANT_TAKERS
from models.compilation.numeric.functions import function
from models.compilation.numeric.scaling import scaler
from models.compilation.numeric.taking import Taken, flag, floats_of, single, text
from models.errors import EstimatorNotHeld
from models.labels import plain_labels


def fixed_threshold(estimator: Any, placer: Placer) -> Made:
    """A threshold that was set."""
    part = getattr(estimator, "estimator_", estimator.estimator)
    method = _method(estimator, part)
    threshold = estimator.threshold
    if threshold == "auto":
        threshold = 0.5 if method == "predict_proba" else 0.0
    return _threshold(estimator, part, placer, threshold, estimator.pos_label)


def tuned_threshold(estimator: Any, placer: Placer) -> Made:
    """A threshold that was found."""
    positive = estimator._curve_scorer._get_pos_label()
    return _threshold(estimator, estimator.estimator_, placer, estimator.best_threshold_, positive)


def _method(estimator: Any, part: Any) -> str:
    wanted = estimator._get_response_method()
    names = [wanted] if isinstance(wanted, str) else wanted
    return next(name for name in names if hasattr(part, name))


def _threshold(estimator: Any, part: Any, placer: Placer, threshold: float, positive: Any) -> Made:
    classes = np.asarray(estimator.classes_)
    if len(classes) != 2:
        raise EstimatorNotHeld("it has other than two labels")
    second = 1 if positive is None else int(np.flatnonzero(classes == positive)[0])
    arrays = {
        "method": text(_method(estimator, part)),
        "column": np.array([second], np.int64),
        "mirrored": flag(second == 0),
        "threshold": single(threshold),
        "pair": plain_labels(classes[[1 - second, second]]),
    }
    return "threshold", arrays, [placer.place(part)]


def calibrated(estimator: Any, placer: Placer) -> Made:
    """The mean of estimators with their calibrators."""
    classes = plain_labels(estimator.classes_)
    children = [
        placer.add(_calibrated(one, len(classes), placer))
        for one in estimator.calibrated_classifiers_
    ]
    return "calibrated_mean", {"classes": classes}, children


def _calibrated(one: Any, count: int, placer: Placer) -> Node:
    known = {label: at for at, label in enumerate(np.asarray(one.classes).tolist())}
    own = np.asarray(one.estimator.classes_).tolist()
    places = [1] if count == 2 else [known[label] for label in own]
    arrays: dict[str, NDArray[Any]] = {
        "method": text(scoring(one.estimator)),
        "form": text(one.method),
        "places": np.array(places, np.int64),
        "classes": np.arange(count, dtype=np.int64),
    }
    children = [placer.place(one.estimator)]
    if one.method == "sigmoid":
        arrays["slopes"] = floats_of([calibrator.a_ for calibrator in one.calibrators])
        arrays["offsets"] = floats_of([calibrator.b_ for calibrator in one.calibrators])
    elif one.method == "temperature":
        arrays["cold"] = single(one.calibrators[0].beta_)
    else:
        take = CONSTANT_TAKERS["IsotonicRegression"]
        children += [placer.add(numeric(take(calibrator))) for calibrator in one.calibrators]
    return Node("calibrated", arrays, children=tuple(children))


def restored(estimator: Any, placer: Placer) -> Made:
    """A regressor whose answers are transformed back."""
    back = placer_of_inverse(estimator.transformer_)
    children = [placer.place(estimator.regressor_), placer.add(numeric(back))]
    return "restored", {"squeezes": flag(estimator._training_dim == 1)}, children


def placer_of_inverse(transformer: Any) -> Taken:
    """What undoes a transformer."""
    name = type(transformer).__name__
    if name == "FunctionTransformer" and not transformer.inv_kw_args:
        return function(transformer.inverse_func)
    if name == "StandardScaler":
        return _undone(
            transformer.scale_ if transformer.with_std else None,
            transformer.mean_ if transformer.with_mean else None,
        )
    if name == "RobustScaler":
        return _undone(
            transformer.scale_ if transformer.with_scaling else None,
            transformer.center_ if transformer.with_centering else None,
        )
    if name == "MinMaxScaler" and not transformer.clip:
        return scaler(transformer.min_, transformer.scale_)
    raise EstimatorNotHeld(f"its target was transformed by a {name}")


def _undone(scale: Any, shift: Any) -> Taken:
    if scale is None and shift is None:
        return function(None)
    size = np.asarray(shift if scale is None else scale)
    scale = np.ones(len(size)) if scale is None else scale
    shift = np.zeros(len(size)) if shift is None else shift
    return scaler(shift, scale, multiplies=True)


CORRECTORS: Final[Mapping[str, Maker]] = MappingProxyType(
    {
        "FixedThresholdClassifier": fixed_threshold,
        "TunedThresholdClassifierCV": tuned_threshold,
        "CalibratedClassifierCV": calibrated,
        "TransformedTargetRegressor": restored,
    }
)
