"""The reader's side of a file of rows: one file, read within the sandbox and handed on in batches.

The file is sealed, and opened here: whoever ordered it never has its text. What cannot be sent
yet waits here, since the socket takes a batch only when the one before it was fetched.
"""

from __future__ import annotations

import io
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, BinaryIO, Final, cast

from config.sealed_stream import Sealed, UnsealedAnywhere
from models.hosting import row_frames
from models.hosting.messages import Message
from models.hosting.payloads import Buffer
from models.reading import RowsFile, Unreadable
from models.reading.arrow import ArrowRows, ParquetRows
from models.reading.csv_lines import CsvRows
from models.reading.npy import NpyRows
from models.tables import Features, Table, row_count, take
from models.wanted import Wanted

READ: Final = "read"
READ_BYTES: Final = 64 * 1024
LONGEST_NAME: Final = 100

Open = Callable[[BinaryIO, Wanted], RowsFile]


def serve_reader(connection: socket.socket, order: Message) -> None:
    """Hand on the rows of the file that the order brings, or why that cannot be done."""
    with suppress(OSError):  # whoever waited has left
        last = _last_word(connection, order)
        _send(connection, last)


def _last_word(connection: socket.socket, order: Message) -> list[Buffer]:
    """Hand on the rows, and return what ends them."""
    try:
        _read(connection, order)
    except Unreadable as refused:
        return row_frames.refused(refused.problem, row=refused.row, column=refused.column)
    except MemoryError:
        return row_frames.no_memory()
    except OSError:
        raise
    except BaseException as error:  # noqa: BLE001  a parser may raise what it likes
        problem = f"the file fails while it is read: {type(error).__name__[:LONGEST_NAME]}"
        return row_frames.refused(problem, row=None, column=None)
    return row_frames.end()


def _read(connection: socket.socket, order: Message) -> None:
    body = order.body
    (descriptor,) = order.descriptors
    sealed = Sealed(descriptor, bytes.fromhex(body["key"]), body["size"], body["purpose"])
    with io.FileIO(descriptor) as file:
        _hand_on(connection, body, UnsealedAnywhere(file, sealed))


def _hand_on(connection: socket.socket, body: Mapping[str, Any], raw: UnsealedAnywhere) -> None:
    wanted = Wanted.from_json(body["wanted"])
    file = cast(BinaryIO, io.BufferedReader(raw, READ_BYTES))
    rows = _opener(body["form"], body["options"])(file, wanted)
    _send(connection, row_frames.begin(rows.rows))
    most = row_frames.rows_of_batch(body["rows_at_once"], wanted.count)
    for features in rows.batches(most):
        for part in _fitting(features):
            _send(connection, row_frames.batch(part, place=raw.tell()))


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
    if size <= row_frames.BATCH_BYTES:
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
