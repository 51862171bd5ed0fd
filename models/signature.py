"""What a model takes and gives: checked before every prediction, shown to every caller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from models.errors import ArtefactBroken, InputRefused

Task = Literal["regression", "classification", "clustering", "outlier", "other"]
NAMED: Final = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """The columns that a model takes, and what it answers for each row.

    `outputs` is the number of answers per row, `classes` the labels that a classifier may give.
    """

    task: Task
    columns: int
    feature_names: tuple[str, ...] | None
    dtype: str
    outputs: int
    classes: tuple[str | int | float | bool, ...] | None
    methods: tuple[str, ...]

    def check_columns(self, features: NDArray[np.float64]) -> None:
        """Raise InputRefused unless there are as many columns as the model takes."""
        if features.shape[1] != self.columns:
            raise InputRefused(
                "/features",
                f"{features.shape[1]} columns, where the model takes {self.columns}{self._names()}",
            )

    def check(self, features: NDArray[np.float64]) -> None:
        """Raise InputRefused unless the columns fit and every number is finite.

        For dialects whose numbers come as raw bytes; JSON cannot hold what is not finite.
        """
        self.check_columns(features)
        finite = np.isfinite(features)
        if not finite.all():
            row, column = np.argwhere(~finite)[0].tolist()
            raise InputRefused(f"/features/{row}/{column}", "not a finite number")

    def as_json(self) -> dict[str, Any]:
        """The signature as plain JSON types."""
        return {
            "task": self.task,
            "columns": self.columns,
            "feature_names": None if self.feature_names is None else list(self.feature_names),
            "dtype": self.dtype,
            "outputs": self.outputs,
            "classes": None if self.classes is None else list(self.classes),
            "methods": list(self.methods),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Signature:
        """Read what `as_json` wrote; raises ArtefactBroken for an unknown task."""
        if value["task"] not in get_args(Task):
            raise ArtefactBroken("a manifest", f"{value['task']!r} is no task")
        names, classes = value["feature_names"], value["classes"]
        return cls(
            task=value["task"],
            columns=value["columns"],
            feature_names=None if names is None else tuple(names),
            dtype=value["dtype"],
            outputs=value["outputs"],
            classes=None if classes is None else tuple(classes),
            methods=tuple(value["methods"]),
        )

    def _names(self) -> str:
        if not self.feature_names:
            return ""
        shown = ", ".join(self.feature_names[:NAMED])
        return f" ({shown}{', ...' if len(self.feature_names) > NAMED else ''})"
