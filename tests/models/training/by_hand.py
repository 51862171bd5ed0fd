"""Studies made by hand: small tables of numbers, with whatever the test wants them to have."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.datasets import make_classification, make_regression

from models.training.progress import Progress, Reporting, Result
from models.training.spec import Task, read_spec
from models.training.study import ColumnPlan, Study

ROWS = 120


def study(
    task: Task = "classification",
    *,
    classes: int = 2,
    rows: int = ROWS,
    groups: NDArray[Any] | None = None,
    times: NDArray[Any] | None = None,
    **said: Any,
) -> Study:
    """A study of four columns; `said` are members of its spec."""
    columns, target = _drawn(task, classes, rows)
    names = [f"x{at}" for at in range(columns.shape[1])]
    spec = read_spec({"model": "small", "target": "y", "task": task, **said})
    return Study(
        spec=spec,
        task=task,
        features=pd.DataFrame(columns, columns=names),
        target=target,
        classes=tuple(np.unique(target).tolist()) if task == "classification" else (),
        plans=tuple(
            ColumnPlan(name=name, kind="numeric", reason="numbers", missing=0, unique=rows)
            for name in names
        ),
        findings=(),
        splitting=spec.validation.kind,
        groups=groups,
        times=times,
    )


def _drawn(task: Task, classes: int, rows: int) -> tuple[NDArray[Any], NDArray[Any]]:
    if task == "regression":
        columns, target = make_regression(rows, 4, noise=20.0, random_state=3)
        return columns, target
    columns, marks = make_classification(
        rows, 4, n_informative=3, n_redundant=0, n_classes=classes, flip_y=0.2, random_state=3
    )
    return columns, np.array(["bad", "good", "middling"])[marks]


@dataclass
class Listener:
    """Hears what a training tells, and keeps its results."""

    known: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    left: Callable[[], float] = lambda: math.inf
    told: list[Progress] = field(default_factory=list)
    kept: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def reporting(self) -> Reporting:
        """What a training is given of it."""
        return Reporting(tell=self.told.append, keep=self._keep, known=self.known, left=self.left)

    def _keep(self, result: Result) -> None:
        assert result.key not in self.kept, "a result is kept once"
        self.kept[result.key] = result.value
