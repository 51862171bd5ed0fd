"""What a version's manifest says of the engines that do not serve it."""

from __future__ import annotations

import numpy as np
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.models.files import skops_bytes
from tests.models.workshops import take_in

FEATURES = np.random.default_rng(3).normal(size=(40, 3))


def test_engine_that_is_for_other_estimators_is_not_quoted() -> None:
    reason = take_in(skops_bytes(KernelDensity().fit(FEATURES))).contents.engine_reason

    assert reason.startswith("no engine serves a KernelDensity: ")
    assert "linear" not in reason
    assert "trees" not in reason


def test_reason_is_short_however_many_engines_were_asked_about_the_parts() -> None:
    model = make_pipeline(StandardScaler(), KernelDensity()).fit(FEATURES)
    reason = take_in(skops_bytes(model)).contents.engine_reason

    assert "KernelDensity" in reason
    assert len(reason) <= 300
    assert "no linear model" not in reason
