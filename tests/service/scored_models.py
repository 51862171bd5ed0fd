"""Models that other servers' clients ask: with names, texts, missing values and classes."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from models.handlers.skops_file import write_skops
from service.operations.registration import register
from tests.house import House

POINTS = pd.DataFrame({"sepal": [0.0, 1.0, 2.0, 3.0], "petal": [0.5, 1.5, 2.5, 3.5]})
PEOPLE = pd.DataFrame(
    {"city": ["Oslo", "Rome", "Oslo", "Bern"], "age": [41.0, 33.0, 25.0, 60.0]},
).astype({"city": object})


@functools.cache
def files() -> dict[str, bytes]:
    """The models as skops files, by their names."""
    kinds = LogisticRegression().fit(POINTS, [3, 3, 7, 7])
    encoder = make_column_transformer((OneHotEncoder(), ["city"]), remainder="passthrough")
    people = make_pipeline(encoder, LogisticRegression())
    gaps = HistGradientBoostingRegressor(min_samples_leaf=1, max_iter=3)
    return {
        "kinds": write_skops(kinds),  # labels that are numbers
        "people": write_skops(people.fit(PEOPLE, ["stays", "goes", "goes", "stays"])),
        "gaps": write_skops(gaps.fit(POINTS, np.arange(4.0))),  # missing values
    }


def add_models(house: House, tenant: str = "acme") -> None:
    """Register the models."""
    for name, file in files().items():
        prepared = house.platform.hosting.intake.run(file, formats={"skops"})
        register(house.platform, house.operator(tenant), name, prepared)
