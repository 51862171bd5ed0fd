"""Answers as CSV, npy and JSON, written while they come."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, Protocol

import numpy as np
import orjson
from numpy.lib import format as npy
from numpy.typing import NDArray

from models.errors import InputRefused
from models.versions import Version
from service.columnar.columns import Answers, columns_of

NPY_DTYPES: Final = {"number": "<f8", "integer": "<i8", "boolean": "|b1"}


@dataclass(frozen=True, slots=True)
class Answering:
    """Whose answers are written: a version's, by these of its methods."""

    version: Version
    methods: tuple[str, ...]


class AnswerWriter(Protocol):
    """Writes the answers to a file of rows, in their order, to the sink that it was made with."""

    def write(self, answers: Answers) -> None:
        """Append the answers to the next rows; raises InputRefused for what has no place there."""
        ...

    def finish(self) -> bytes:
        """Write the end, and return what is to stand before all that was written."""
        ...


class CsvWriter:
    """RFC 4180 with names in the first line; numbers in the shortest form that is exact."""

    def __init__(self, answering: Answering, sink: BinaryIO) -> None:
        self._sink = sink
        self._columns = columns_of(answering.version.signature, answering.methods)
        self._write([[column.name for column in self._columns]])

    def write(self, answers: Answers) -> None:
        """Append lines."""
        self._write(zip(*(_cells(column.of(answers)) for column in self._columns), strict=True))

    def finish(self) -> bytes:
        """Nothing stands before the lines."""
        return b""

    def _write(self, rows: Any) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        self._sink.write(text.getvalue().encode())


class NpyWriter:
    """One array: of one dimension, or of two for a method with several values for each row."""

    def __init__(self, answering: Answering, sink: BinaryIO) -> None:
        self._sink = sink
        self._rows = 0
        refuse_several(answering, "an npy file")
        (self._method,) = answering.methods
        output = answering.version.signature.methods[self._method]
        self._width = output.width
        self._dtype = np.dtype(NPY_DTYPES.get(output.dtype) or _text_dtype(answering.version))

    def write(self, answers: Answers) -> None:
        """Append rows."""
        values = np.ascontiguousarray(answers[self._method], self._dtype)
        self._rows += len(values)
        self._sink.write(values.reshape(-1).view(np.uint8).data)

    def finish(self) -> bytes:
        """How many rows there are stands before them."""
        head = io.BytesIO()
        shape = (self._rows,) if self._width is None else (self._rows, self._width)
        described = {"descr": self._dtype.str, "fortran_order": False, "shape": shape}
        npy.write_array_header_1_0(head, described)
        return head.getvalue()


class JsonWriter:
    """What the native dialect answers, however long."""

    def __init__(self, answering: Answering, sink: BinaryIO) -> None:
        refuse_several(answering, "JSON")
        self._answering = answering
        self._sink = sink
        self._rows = 0
        sink.write(b'{"prediction":[')

    def write(self, answers: Answers) -> None:
        """Append answers; raises InputRefused at one that JSON cannot hold."""
        (values,) = answers.values()
        if values.dtype.kind == "f":
            self._refuse_infinite(values)
        plain = values.tolist() if values.dtype.kind in "OU" else np.ascontiguousarray(values)
        encoded = orjson.dumps(plain, option=orjson.OPT_SERIALIZE_NUMPY)
        self._sink.write((b"," if self._rows else b"") + encoded[1:-1])
        self._rows += len(values)

    def finish(self) -> bytes:
        """Which version answered stands behind the answers."""
        version = self._answering.version
        said = orjson.dumps({"model": version.model, "version": version.number})
        self._sink.write(b"]," + said[1:])
        return b""

    def _refuse_infinite(self, values: NDArray[Any]) -> None:
        finite = np.isfinite(values)
        if not finite.all():
            row = self._rows + int(np.argwhere(~finite)[0][0])
            raise InputRefused(
                f"/rows/{row}", "the model's answer to it is not a finite number, as JSON needs"
            )


def refuse_several(answering: Answering, what: str) -> None:
    """Raise InputRefused unless one method was asked for."""
    if len(answering.methods) != 1:
        raise InputRefused("/method", f"{what} holds the answers of one method; ask for one")


def _cells(values: NDArray[Any]) -> list[Any]:
    shown = np.where(values, "true", "false") if values.dtype.kind == "b" else values
    cells: list[Any] = shown.tolist()
    return cells


def _text_dtype(version: Version) -> str:
    """Texts as long as the longest class; a model without classes may answer any."""
    classes = version.signature.classes
    if not classes:
        raise InputRefused(
            "/method", "its answers are texts of any length, which npy does not hold; accept CSV"
        )
    return f"<U{max(1, *(len(str(label)) for label in classes))}"
