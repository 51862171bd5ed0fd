"""Models that other servers' clients ask, with names, texts, missing values and classes; rows for
the demo's, and what the native dialect says to them.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st
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

NUMBERS = st.floats(-1e12, 1e12) | st.integers(-(2**53), 2**53)
ROWS = st.lists(st.tuples(NUMBERS, NUMBERS).map(list), min_size=1, max_size=5)


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


def native(house: House, rows: Any, **members: Any) -> list[Any]:
    """What the native dialect answers."""
    response = house.rob.predict(rows, **members)
    assert response.status_code == 200, response.text
    return list(response.get_json()["prediction"])
