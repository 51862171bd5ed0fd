"""The reader's side of a file of rows: one file, read within the sandbox and handed on in batches.

The file is sealed, and opened here: whoever ordered it never has its text. What cannot be sent
yet waits here, since the socket takes a batch only when the one before it was fetched.
"""

from __future__ import annotations

import io
import socket
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, BinaryIO, Final, cast

from config.sealed_stream import Sealed, UnsealedAnywhere
from models.hosting import row_frames
from models.hosting.messages import Message
from models.hosting.payloads import NUMBER_BYTES, Buffer
from models.reading import RowsFile, Unreadable
from models.reading.arrow import ArrowRows, ParquetRows
from models.reading.csv_lines import CsvRows
from models.reading.npy import NpyRows
from models.tables import Features, Table, row_count, take
from models.wanted import Wanted

READ: Final = "read"
BATCH_BYTES: Final = 4 * 1024**2
READ_BYTES: Final = 64 * 1024
LONGEST_NAME: Final = 100

Open = Callable[[BinaryIO, Wanted], RowsFile]


def serve_reader(connection: socket.socket, order: Message) -> None:
    """Hand on the rows of the file that the order brings, or why that cannot be done."""
    try:
        _read(connection, order)
    except Unreadable as refused:
        last = row_frames.refused(refused.problem, row=refused.row, column=refused.column)
        _send(connection, last)
    except MemoryError:
        _send(connection, row_frames.no_memory())
    except OSError:
        return  # whoever waited has left
    except BaseException as error:  # noqa: BLE001  a parser may raise what it likes
        problem = f"the file fails while it is read: {type(error).__name__[:LONGEST_NAME]}"
        _send(connection, row_frames.refused(problem, row=None, column=None))


def _read(connection: socket.socket, order: Message) -> None:
    body = order.body
    wanted = Wanted.from_json(body["wanted"])
    (descriptor,) = order.descriptors
    sealed = Sealed(descriptor, bytes.fromhex(body["key"]), body["size"], body["purpose"])
    raw = UnsealedAnywhere(io.FileIO(descriptor), sealed)
    file = cast(BinaryIO, io.BufferedReader(raw, READ_BYTES))
    rows = _opener(body["form"], body["options"])(file, wanted)
    _send(connection, row_frames.begin(rows.rows))
    per_row = NUMBER_BYTES * wanted.count
    most = max(1, min(body["rows_at_once"], BATCH_BYTES // per_row))
    for features in rows.batches(most):
        for part in _fitting(features):
            _send(connection, row_frames.batch(part, place=raw.tell()))
    _send(connection, row_frames.end())


def _opener(form: str, options: Mapping[str, Any]) -> Open:
    openers: Mapping[str, Open] = {
        "csv": partial(CsvRows, header=options.get("header")),
        "arrow": ArrowRows,
        "parquet": ParquetRows,
        "npy": NpyRows,
    }
    return openers[form]


def _fitting(features: Features) -> Iterator[Features]:
    """The rows in as many parts as their texts take; raises Unreadable if one row is too large."""
    rows = row_count(features)
    size = _text_size(features) if isinstance(features, Table) else 0
    if size <= BATCH_BYTES:
        yield features
    elif rows == 1 and size > row_frames.MOST_BYTES // 2:
        raise Unreadable(f"the texts of one row have {size} bytes")
    elif rows == 1:
        yield features
    else:
        yield from _fitting(take(features, 0, rows // 2))
        yield from _fitting(take(features, rows // 2, rows))


def _text_size(table: Table) -> int:
    texts = (text for column in table.columns if column.dtype == object for text in column)
    return sum(4 * len(text) for text in texts if text is not None)


def _send(connection: socket.socket, parts: list[Buffer]) -> None:
    for part in parts:
        connection.sendall(part)
