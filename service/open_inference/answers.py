"""Output tensors: what each method answered, by its name or by those of the graph's outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import InputRefused
from models.signature import Output, Signature, spans
from service.open_inference.datatypes import OF_KINDS, Datatype, encode_texts


@dataclass(frozen=True, slots=True, eq=False)
class OutputTensor:
    """One output; `values` is C-contiguous, of the datatype's dtype or of texts."""

    name: str
    datatype: Datatype
    values: NDArray[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """How many elements there are in each dimension."""
        return self.values.shape

    def raw(self) -> bytes | memoryview:
        """The binary form; of numbers without a copy."""
        if self.datatype.is_text:
            return encode_texts(self.values.ravel().tolist())
        return self.values.reshape(-1).view(np.uint8).data

    def cells(self) -> NDArray[Any] | list[Any]:
        """The elements in row-major order, as JSON has them.

        Raises InputRefused for what is not finite, which JSON has no word for.
        """
        if self.datatype.is_text:
            texts: list[Any] = self.values.ravel().tolist()
            return texts
        if self.datatype.is_float and not np.isfinite(self.values).all():
            problem = "not a finite number, which JSON cannot hold; ask for binary data"
            raise InputRefused(f"/outputs/{self.name}", problem)
        return self.values.ravel()


def outputs_of(
    answers: Mapping[str, NDArray[Any]], signature: Signature, wanted: Sequence[str]
) -> tuple[OutputTensor, ...]:
    """The output tensors wanted, in that order, of what a model answered by each method.

    None wanted are all outputs of the graph that the methods stand for.
    """
    names = wanted or [name for m in answers for name in _names(m, signature.methods[m])]
    tensors = []
    for name in names:
        method = signature.method_of(name)
        values = answers[method]
        if name != method:
            values = _part(name, signature.methods[method], values)
        tensors.append(_output(name, values))
    return tuple(tensors)


def _names(method: str, output: Output) -> Sequence[str]:
    return [part.name for part in output.parts] or [method]


def _part(name: str, output: Output, values: NDArray[Any]) -> NDArray[Any]:
    """One of the outputs that stand side by side in an answer."""
    [part] = [part for part in output.parts if part.name == name]
    columns = values.reshape(len(values), -1)[:, spans(output.parts)[name]]
    return columns.reshape(-1) if part.width is None else columns


def _output(name: str, values: NDArray[Any]) -> OutputTensor:
    datatype = OF_KINDS[values.dtype.kind]
    if not datatype.is_text:
        values = values.astype(datatype.dtype, copy=False)
    return OutputTensor(name, datatype, np.ascontiguousarray(values))
