"""Where tensors go among the columns of a model: one column each, or an input of its graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from config.prose import listed
from models.errors import InputRefused
from models.requests.binding import LISTED
from models.signature import Signature, spans
from models.tables import Features, Table
from service.open_inference.tensors import InputTensor

SIDES: Final = 2  # rows and columns


@dataclass(frozen=True, slots=True)
class Placed:
    """A tensor, and the columns of the model that it has the values of."""

    tensor: InputTensor
    span: slice

    def where(self, row: int, column: int) -> str:
        """The path of a cell; `column` is the model's."""
        path = f"{self.tensor.where}/data/{row}"
        alone = self.span.stop - self.span.start == 1
        return path if alone else f"{path}/{column - self.span.start}"


def place(tensors: Sequence[InputTensor], signature: Signature) -> tuple[Placed, ...]:
    """Find the columns of each tensor by its name.

    Raises InputRefused for a name, width or repetition that does not fit, and for a column without
    a tensor unless the model takes missing values.
    """
    if len(tensors) == 1 and signature.columns == 1:
        return (_placed(tensors[0], slice(0, 1)),)
    places = _places(tensors, signature)
    given = np.zeros(signature.columns, dtype=np.bool_)
    placed = []
    for tensor in tensors:
        if tensor.name not in places:
            problem = f"no input of the model, which has {listed(_inputs(signature), LISTED)}"
            raise InputRefused(f"{tensor.where}/name", problem)
        span = places[tensor.name]
        if given[span].any():
            at = span.start + int(np.argmax(given[span]))
            problem = f"the column {signature.column(at)!r} is given twice"
            raise InputRefused(f"{tensor.where}/name", problem)
        given[span] = True
        placed.append(_placed(tensor, span))
    for position in np.flatnonzero(~given).tolist():
        if not signature.may_lack(position):
            column = signature.column(position)
            raise InputRefused("/inputs", f"no tensor for the column {column!r}")
    return tuple(placed)


def join(placed: Sequence[Placed], signature: Signature) -> Features:
    """The tensors side by side, as the model takes them; raises InputRefused for other kinds.

    A column without a tensor is missing in every row.
    """
    rows = placed[0].tensor.shape[0]
    if signature.numbers_alone:
        matrix = np.full((rows, signature.columns), np.nan)
        for each in placed:
            matrix[:, each.span] = each.tensor.numbers().reshape(rows, -1)
        return matrix
    kinds = signature.column_kinds
    columns = [np.full(rows, None) if k == "text" else np.full(rows, np.nan) for k in kinds]
    for each in placed:
        # The columns of one input are of one kind (models.graph_tensors).
        text = kinds[each.span.start] == "text"
        values: NDArray[Any] = each.tensor.texts() if text else each.tensor.numbers()
        columns[each.span] = [np.ascontiguousarray(one) for one in values.reshape(rows, -1).T]
    return Table(tuple(columns))


def is_input(name: str, signature: Signature) -> bool:
    """Whether a tensor of this name is a column, or an input of the graph."""
    return any(part.name == name for part in signature.inputs) or name in signature.names


def _inputs(signature: Signature) -> tuple[str, ...]:
    return tuple(part.name for part in signature.inputs) or signature.names


def _places(tensors: Sequence[InputTensor], signature: Signature) -> dict[str, slice]:
    """The columns of each name; of ten thousand columns only where tensors are called so."""
    inputs = spans(signature.inputs)
    if all(tensor.name in inputs for tensor in tensors):
        return inputs
    return inputs | {name: slice(at, at + 1) for at, name in enumerate(signature.names)}


def _placed(tensor: InputTensor, span: slice) -> Placed:
    given = tensor.shape[1] if len(tensor.shape) == SIDES else 1
    width = span.stop - span.start
    if given != width:
        there = "is one" if width == 1 else f"has {width}"
        problem = f"{given} columns, where the input {tensor.name!r} {there}"
        raise InputRefused(f"{tensor.where}/shape", problem)
    return Placed(tensor, span)
