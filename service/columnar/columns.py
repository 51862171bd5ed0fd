"""What the columns of answers are called: the same in every form that has names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from numpy.typing import NDArray

from models.signature import AnswerKind, Signature

PREDICTION: Final = "prediction"
Answers = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class AnswerColumn:
    """One column: its name, what it holds, and where in a method's answers it is found."""

    name: str
    kind: AnswerKind
    method: str
    place: int | None

    def of(self, answers: Answers) -> NDArray[Any]:
        """Its values in the answers to some rows."""
        values = answers[self.method]
        return values if self.place is None else values[:, self.place]


def columns_of(signature: Signature, methods: tuple[str, ...]) -> tuple[AnswerColumn, ...]:
    """The columns in which all answers of the methods are written.

    `prediction` for `predict`, else the method's name; of several values for each row with the
    class that a value is for, or its number.
    """
    return tuple(column for method in methods for column in _columns_of(signature, method))


def _columns_of(signature: Signature, method: str) -> list[AnswerColumn]:
    output = signature.methods[method]
    name = PREDICTION if method == "predict" else method
    if output.width is None:
        return [AnswerColumn(name, output.dtype, method, None)]
    classes = signature.classes or ()
    labels = classes if len(classes) == output.width else range(output.width)
    return [
        AnswerColumn(f"{name}_{label}", output.dtype, method, place)
        for place, label in enumerate(labels)
    ]
