"""Boosters within other files: looked through before their libraries rebuild them.

An estimator of XGBoost or LightGBM that was pickled, or stored by skops, holds its booster as bytes
or text, which native code reads when the state is set. So that is where the look is taken,
whatever the file around it is made like.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

from models.errors import FormatRefused
from models.soundness.lightgbm_documents import check_lightgbm_text
from models.soundness.xgboost_documents import check_xgboost_snapshot

MODULES: Final = ("lightgbm.basic", "xgboost.core")
PACKAGES: Final = frozenset(module.partition(".")[0] for module in MODULES)
# The classes that a skops file of such an estimator names.
CLASSES: Final = frozenset(
    {
        "collections.OrderedDict",
        "lightgbm.basic.Booster",
        "lightgbm.sklearn.LGBMClassifier",
        "lightgbm.sklearn.LGBMRanker",
        "lightgbm.sklearn.LGBMRegressor",
        "xgboost.core.Booster",
        "xgboost.sklearn.XGBClassifier",
        "xgboost.sklearn.XGBRFClassifier",
        "xgboost.sklearn.XGBRFRegressor",
        "xgboost.sklearn.XGBRanker",
        "xgboost.sklearn.XGBRegressor",
    }
)
GUARDED: Final = "__sallyport_looks_first__"

State = Mapping[str, Any]


def guard_boosters() -> None:
    """From here on no booster is set up in this process that was not looked through."""
    for module in MODULES:
        if find_spec(module.partition(".")[0]) is not None:
            _guard(import_module(module).Booster, CHECKS[module])


def _guard(booster: Any, check: Callable[[State], None]) -> None:
    if getattr(booster, GUARDED, False):
        return
    own = booster.__setstate__

    def set_state(self: Any, state: dict[str, Any]) -> None:
        check(state)
        own(self, state)

    booster.__setstate__ = set_state
    setattr(booster, GUARDED, True)


def _check_lightgbm(state: State) -> None:
    text = state.get("_handle", state.get("handle"))
    if text is None:
        return
    if not isinstance(text, str):
        raise FormatRefused("a booster of LightGBM is no text")
    check_lightgbm_text(text)


def _check_xgboost(state: State) -> None:
    data = state.get("handle")
    if data is None:
        return
    if not isinstance(data, bytes | bytearray):
        raise FormatRefused("a booster of XGBoost is not made of bytes")
    check_xgboost_snapshot(bytes(data))


CHECKS: Final[Mapping[str, Callable[[State], None]]] = {
    "lightgbm.basic": _check_lightgbm,
    "xgboost.core": _check_xgboost,
}
