"""Rows and answers as the platform's intake reads them, by which a model proves itself."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import orjson
import pandas as pd
from numpy.typing import NDArray

MOST_ROWS: Final = 100


def some_rows(features: pd.DataFrame, *, most: int = MOST_ROWS) -> pd.DataFrame:
    """So many rows at most, spread over all of them."""
    places = np.linspace(0, len(features) - 1, min(most, len(features))).astype(int)
    return features.iloc[np.unique(places)]


def rows_as_json(features: pd.DataFrame) -> bytes:
    """Raw rows by the names of their columns; what is missing is null."""
    columns = {str(name): _plain(column) for name, column in features.items()}
    return orjson.dumps({"columns": columns})


def answers_as_json(answers: NDArray[Any]) -> bytes:
    """A pipeline's own answers."""
    return orjson.dumps(answers.tolist())


def _plain(column: pd.Series) -> list[Any]:
    # JSON has no number that is not finite: it becomes null.
    cells: list[Any] = column.tolist()
    return cells
