"""Which writer writes answers in which form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import BinaryIO, Final

from service.columnar.forms import Form
from service.columnar.writers import Answering, AnswerWriter, CsvWriter, JsonWriter, NpyWriter

MAKERS: Final[Mapping[str, Callable[[Answering, BinaryIO], AnswerWriter]]] = {
    "csv": CsvWriter,
    "npy": NpyWriter,
    "json": JsonWriter,
}


def writer_of(form: Form, answering: Answering, sink: BinaryIO) -> AnswerWriter:
    """What writes answers in a form; raises InputRefused where the form cannot hold them."""
    if form.name in MAKERS:
        return MAKERS[form.name](answering, sink)
    # pyarrow takes long to import, and many megabytes.
    from service.columnar.arrow_writers import ArrowWriter, ParquetWriter

    if form.name == "parquet":
        return ParquetWriter(answering, sink)
    return ArrowWriter(answering, sink, framed=form.name == "arrow-file")
