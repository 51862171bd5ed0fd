"""What a model takes and gives: checked before every prediction, shown to every caller."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Final, Literal, get_args

import numpy as np

from config.prose import listed
from models.errors import ArtefactBroken, InputRefused, MethodUnknown
from models.tables import Features, Matrix, Table, column_count

Task = Literal["regression", "classification", "clustering", "outlier", "transform", "other"]
Kind = Literal["number", "text"]
AnswerKind = Literal["number", "integer", "boolean", "text"]
Label = str | int | float | bool
METHODS: Final = (
    "predict",
    "predict_proba",
    "predict_log_proba",
    "decision_function",
    "transform",
    "score_samples",
)
NAMED: Final = 8


@dataclass(frozen=True, slots=True)
class Part:
    """A tensor of a model's own graph: one value for each row where `width` is None, else so many.

    What has more than two dimensions there is as wide as one row of it has values.
    """

    name: str
    width: int | None = None

    @property
    def columns(self) -> int:
        """How many columns it is."""
        return 1 if self.width is None else self.width


@dataclass(frozen=True, slots=True)
class Output:
    """What one method answers for each row: one value where `width` is None, else so many.

    `parts` are the graph's own outputs, which stand side by side in the answer; none where the
    model does not name any.
    """

    dtype: AnswerKind
    width: int | None = None
    parts: tuple[Part, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The output as plain JSON types."""
        parts = {"parts": _parts_as_json(self.parts)} if self.parts else {}
        return {"dtype": self.dtype, "width": self.width, **parts}


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """The columns that a model takes, and what each of its methods answers.

    `kinds` is None where every column is a number; `categories` holds the known values of text
    columns, by position; `missing` says whether a value may be absent; `classes` are the labels
    that a classifier may give. `inputs` are the graph's own inputs, whose columns stand side by
    side; none where the model does not name any. `required` are the columns, by position, that may
    not be left out though a value of theirs may be absent.
    """

    task: Task
    columns: int
    feature_names: tuple[str, ...] | None
    kinds: tuple[Kind, ...] | None = None
    categories: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    missing: bool = False
    classes: tuple[Label, ...] | None
    methods: Mapping[str, Output]
    inputs: tuple[Part, ...] = ()
    required: frozenset[int] = frozenset()

    @property
    def default_method(self) -> str:
        """The method meant when none is named."""
        return next(iter(self.methods))

    @property
    def column_kinds(self) -> tuple[Kind, ...]:
        """Of each column: `number` or `text`."""
        number: Kind = "number"
        return self.kinds or (number,) * self.columns

    @property
    def numbers_alone(self) -> bool:
        """Whether rows are a matrix of numbers."""
        return self.kinds is None or "text" not in self.kinds

    @property
    def names(self) -> tuple[str, ...]:
        """How the columns are called; those of a model without names are x0, x1, ..."""
        return self.feature_names or tuple(map(self.column, range(self.columns)))

    def may_lack(self, position: int) -> bool:
        """Whether rows may come without this column, whose values are then all absent."""
        return self.missing and position not in self.required

    def check_method(self, method: str | None) -> str:
        """The method meant; raises MethodUnknown for one that the model does not have."""
        if method is None:
            return self.default_method
        if method not in self.methods:
            raise MethodUnknown(method, tuple(self.methods))
        return method

    def method_of(self, output: str) -> str:
        """The method that answers an output: itself, or the one that it is a part of.

        Raises MethodUnknown.
        """
        if output in self.methods:
            return output
        by_part = {part.name: name for name, o in self.methods.items() for part in o.parts}
        if output not in by_part:
            raise MethodUnknown(output, (*by_part, *self.methods))
        return by_part[output]

    def check_columns(self, features: Features) -> None:
        """Raise InputRefused unless there are as many columns as the model takes."""
        columns = column_count(features)
        if columns != self.columns:
            raise InputRefused(
                "/features",
                f"{columns} columns, where the model takes {self.columns}{self._names()}",
            )

    def check(self, features: Features) -> None:
        """Raise InputRefused unless columns and kinds fit and every number is finite.

        A number may be NaN, and a text None, where the model takes missing values.
        """
        self.check_columns(features)
        if isinstance(features, Table):
            self._check_table(features)
        elif not self.numbers_alone:
            position = self.column_kinds.index("text")
            raise InputRefused(f"/features/0/{position}", "a number, where the model takes a text")
        else:
            self._check_finite(features)

    def column(self, position: int) -> str:
        """How a column is called."""
        return self.feature_names[position] if self.feature_names else f"x{position}"

    def as_json(self) -> dict[str, Any]:
        """The signature as plain JSON types."""
        # What is not there is left out: a manifest stays the text that was signed.
        inputs = {"inputs": _parts_as_json(self.inputs)} if self.inputs else {}
        required = {"required": sorted(self.required)} if self.required else {}
        return {
            "task": self.task,
            "columns": self.columns,
            "feature_names": None if self.feature_names is None else list(self.feature_names),
            "kinds": None if self.kinds is None else list(self.kinds),
            "categories": {str(at): list(values) for at, values in self.categories.items()},
            "missing": self.missing,
            "classes": None if self.classes is None else list(self.classes),
            "methods": [{"name": name, **o.as_json()} for name, o in self.methods.items()],
            **inputs,
            **required,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Signature:
        """Read what `as_json` wrote; raises ArtefactBroken for an unknown task."""
        if value["task"] not in get_args(Task):
            raise ArtefactBroken("a manifest", f"{value['task']!r} is no task")
        names, kinds, classes = (value[n] for n in ("feature_names", "kinds", "classes"))
        return cls(
            task=value["task"],
            columns=value["columns"],
            feature_names=None if names is None else tuple(names),
            kinds=None if kinds is None else tuple(kinds),
            categories={int(at): tuple(known) for at, known in value["categories"].items()},
            missing=value["missing"],
            classes=None if classes is None else tuple(classes),
            methods={
                m["name"]: Output(m["dtype"], m["width"], _parts(m.get("parts", ())))
                for m in value["methods"]
            },
            inputs=_parts(value.get("inputs", ())),
            required=frozenset(value.get("required", ())),
        )

    def _check_table(self, table: Table) -> None:
        pairs = zip(self.column_kinds, table.columns, strict=True)
        for position, (kind, column) in enumerate(pairs):
            self._check_column(position, kind, column)

    def _check_column(self, position: int, kind: Kind, column: Any) -> None:
        if (column.dtype == object) != (kind == "text"):
            given = "text" if column.dtype == object else "number"
            where = f"/features/0/{position}"
            raise InputRefused(where, f"a {given}, where the model takes a {kind}")
        if kind == "number":
            self._check_finite(column.reshape(-1, 1), first=position)
        elif not self.missing:
            absent = [row for row, value in enumerate(column) if value is None]
            if absent:
                raise InputRefused(f"/features/{absent[0]}/{position}", "missing")

    def _check_finite(self, numbers: Matrix, *, first: int = 0) -> None:
        # One pass tells of nearly all rows that nothing is wrong; numbers may also be too large.
        if isfinite(np.vdot(numbers, numbers)):
            return
        unfit = np.isinf(numbers) if self.missing else ~np.isfinite(numbers)
        if unfit.any():
            row, column = np.argwhere(unfit)[0].tolist()
            raise InputRefused(f"/features/{row}/{first + column}", "not a finite number")

    def _names(self) -> str:
        if not self.feature_names:
            return ""
        return f" ({listed(self.feature_names, NAMED)})"


def spans(parts: Iterable[Part]) -> dict[str, slice]:
    """The columns of each part, by its name."""
    found, at = {}, 0
    for part in parts:
        found[part.name] = slice(at, at + part.columns)
        at += part.columns
    return found


def _parts_as_json(parts: Iterable[Part]) -> list[dict[str, Any]]:
    return [{"name": part.name, "width": part.width} for part in parts]


def _parts(said: Iterable[Mapping[str, Any]]) -> tuple[Part, ...]:
    return tuple(Part(part["name"], part["width"]) for part in said)
