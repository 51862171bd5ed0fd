"""What a request's tensors ask the data plane: rows for the columns of a model, and its methods.

A model of numbers alone takes one tensor of rows, whatever it is called, or one row without its
brackets; every model takes one tensor for each column, by the column's name, and one for each
input of its graph.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import InputRefused
from models.names import Reference, read_reference
from models.requests.binding import INPUT
from models.requests.bounds import Bounds
from models.signature import Signature
from models.tables import Features, Matrix
from service.open_inference.datatypes import DATATYPES, decode_text
from service.open_inference.placing import SIDES, Placed, is_input, join, place
from service.open_inference.tensors import InputTensor


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorRequest:
    """Tensors that agree on how many rows there are, and the outputs wanted of them.

    Implements `models.requests.asked.Asked`. No outputs are the model's default method alone.
    """

    model: str | None
    version: Reference
    tensors: tuple[InputTensor, ...]
    outputs: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.tensors[0].shape[0]

    def methods(self, signature: Signature) -> tuple[str, ...]:
        """The methods that the outputs name, each once; raises MethodUnknown."""
        wanted = map(signature.method_of, self.outputs or (signature.default_method,))
        return tuple(dict.fromkeys(wanted))

    def bound(self, signature: Signature) -> Features:
        """The rows as the model takes them; raises InputRefused where they do not fit."""
        sole = self.tensors[0]
        if _is_matrix(self.tensors, signature):
            features: Features = sole.numbers()
            where = _Where(lambda row, column: f"{sole.where}/data/{row}/{column}")
        else:
            placed = place(self.tensors, signature)
            features = join(placed, signature)
            where = _Where(lambda row, column: _cell(placed, row, column))
        try:
            signature.check(features)
        except InputRefused as error:
            raise InputRefused(where.of(error.path, sole), error.problem) from error
        return features


def ask(
    model: str | None,
    version: Reference,
    tensors: Sequence[InputTensor],
    outputs: Sequence[str],
    *,
    bounds: Bounds,
    signature: Callable[[], Signature],
) -> TensorRequest:
    """What tensors and the names of outputs ask; raises InputRefused.

    `signature` is that of the model asked: it is looked up only for a list of numbers, which is
    one row of one model and one column of another.
    """
    _refuse_repeated(outputs, "/outputs", "output")
    if not tensors:
        raise InputRefused("/inputs", "empty; give at least one tensor")
    _refuse_repeated([tensor.name for tensor in tensors], "/inputs", "input")
    if len(tensors) == 1 and len(tensors[0].shape) == 1:
        tensors = [_as_row(tensors[0], signature())]
    _check_sizes(tensors, bounds)
    return TensorRequest(
        model=model, version=version, tensors=tuple(tensors), outputs=tuple(outputs)
    )


def ask_raw(
    model: str | None,
    version: Reference,
    data: bytes | memoryview,
    *,
    bounds: Bounds,
    signature: Callable[[], Signature],
) -> TensorRequest:
    """What bytes without any description ask of a model with one input; raises InputRefused.

    Of numbers they are rows of FP64, of a text column the one text itself.
    """
    taken = signature()
    if taken.numbers_alone:
        values: NDArray[Any] = _raw_rows(data, taken.columns)
        datatype = DATATYPES["FP64"]
    elif taken.columns == 1:
        values, datatype = np.array([decode_text(data, "")], dtype=object), DATATYPES["BYTES"]
    else:
        problem = f"no description, where the model takes {taken.columns} inputs; name each"
        raise InputRefused("", problem)
    tensor = InputTensor(INPUT, datatype, values, "")
    _check_sizes([tensor], bounds)
    return TensorRequest(model=model, version=version, tensors=(tensor,))


def version_of(text: str) -> int | str:
    """A version as an address or message names it; one that none can have stays a text."""
    found = read_reference(text)
    return text if found is None else found


@dataclass(frozen=True, slots=True)
class _Where:
    """Turns paths of the native dialect into those of tensors."""

    cell: Callable[[int, int], str]

    def of(self, path: str, sole: InputTensor) -> str:
        places = path.split("/")[2:]
        if len(places) == SIDES:
            return self.cell(int(places[0]), int(places[1]))
        return f"{sole.where}/shape"


def _cell(placed: Sequence[Placed], row: int, column: int) -> str:
    found = (p for p in placed if p.span.start <= column < p.span.stop)
    return next((each.where(row, column) for each in found), "/inputs")


def _is_matrix(tensors: Sequence[InputTensor], signature: Signature) -> bool:
    """Whether one tensor holds whole rows; one column of several is none, if it is so called."""
    if len(tensors) > 1 or len(tensors[0].shape) != SIDES or not signature.numbers_alone:
        return False
    sole = tensors[0]
    return sole.shape[1] == signature.columns or not is_input(sole.name, signature)


def _as_row(tensor: InputTensor, signature: Signature) -> InputTensor:
    """A list of numbers as one row, unless it is a column of its model."""
    if signature.columns == 1 or not signature.numbers_alone:
        return tensor
    if tensor.name in signature.names:
        return tensor
    return replace(tensor, values=tensor.values.reshape(1, -1))


def _check_sizes(tensors: Sequence[InputTensor], bounds: Bounds) -> None:
    most, rows = bounds.max_columns, tensors[0].shape[0]
    if len(tensors) > most:
        raise InputRefused("/inputs", f"more than {most} columns")
    for tensor in tensors:
        shape, where = tensor.shape, f"{tensor.where}/shape"
        if len(shape) > SIDES:
            raise InputRefused(where, "neither rows of a matrix nor one column: [n] or [n, 1]")
        if shape[0] != rows:
            raise InputRefused(where, f"{shape[0]} rows, where the first input has {rows}")
    if sum(1 if len(tensor.shape) == 1 else tensor.shape[1] for tensor in tensors) > most:
        raise InputRefused("/inputs", f"more than {most} columns")
    if not rows:
        raise InputRefused(f"{tensors[0].where}/shape", "no rows; give at least one")
    if rows > bounds.max_rows:
        raise InputRefused(f"{tensors[0].where}/shape", f"more than {bounds.max_rows} rows")


def _raw_rows(data: bytes | memoryview, columns: int) -> Matrix:
    size = columns * 8
    if not data or len(data) % size:
        problem = f"{len(data)} bytes, where each row of {columns} FP64 has {size}"
        raise InputRefused("", problem)
    return np.frombuffer(data, dtype=np.float64).reshape(-1, columns)


def _refuse_repeated(names: Sequence[str], where: str, what: str) -> None:
    if len(set(names)) == len(names):
        return
    [(name, _)] = Counter(names).most_common(1)
    index = len(names) - 1 - list(reversed(names)).index(name)
    raise InputRefused(f"{where}/{index}/name", f"the {what} {name!r} is given twice")
