"""The rows of a query on the operator's own database, as Arrow IPC: for the command line alone.

The transaction is read-only where the database can say so, and is rolled back in any case.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pyarrow as pa
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from models.errors import DataRefused
from models.training.sources import check_names, check_size

ROWS_AT_ONCE: Final = 10_000
LONGEST_PROBLEM: Final = 300
READ_ONLY: Final[Mapping[str, str]] = MappingProxyType(
    {
        "mariadb": "SET TRANSACTION READ ONLY",
        "mysql": "SET TRANSACTION READ ONLY",
        "oracle": "SET TRANSACTION READ ONLY",
        "postgresql": "SET TRANSACTION READ ONLY",
        "sqlite": "PRAGMA query_only = ON",
    }
)


def query(sql: str, url: str) -> bytes:
    """The rows that a query gives, with the types that they have; raises DataRefused."""
    try:
        engine = create_engine(url, poolclass=NullPool, hide_parameters=True)
    except ModuleNotFoundError as error:
        problem = f"the driver {error.name} of the database is not installed"
        raise DataRefused(problem) from error
    except (ArgumentError, NoSuchModuleError, TypeError, ValueError):
        # What is said of a URL may quote it, and with it a password: not even a log is told.
        raise DataRefused("the URL of the database cannot be read") from None
    if engine.dialect.name == "sqlite" and not Path(engine.url.database or "").is_file():
        raise DataRefused("there is no such SQLite file")
    try:
        with engine.connect() as connection:
            table = _read(connection, sql)
            connection.rollback()
    except SQLAlchemyError as error:
        told = " ".join(str(getattr(error, "orig", None) or error).split())[:LONGEST_PROBLEM]
        raise DataRefused(f"the query fails: {told}") from error
    return _written(table)


def types_of(data: bytes) -> dict[str, str]:
    """The columns of a query's rows, and the type of each."""
    schema = pa.ipc.open_stream(pa.py_buffer(data)).schema
    return {field.name: str(field.type) for field in schema}


def _read(connection: Connection, sql: str) -> pa.Table:
    statement = READ_ONLY.get(connection.dialect.name)
    if statement:
        connection.exec_driver_sql(statement)
    # Without parameters, or drivers take a percent sign in it for the place of one.
    options = {"stream_results": True, "no_parameters": True}
    result = connection.exec_driver_sql(sql, execution_options=options)
    if not result.returns_rows:
        raise DataRefused("the query gives no rows", "write a SELECT")
    names = list(map(str, result.keys()))
    check_names(names)
    return _joined(list(_batches(result.partitions(ROWS_AT_ONCE), names)), names)


def _batches(partitions: Any, names: Sequence[str]) -> Iterator[pa.Table]:
    rows = 0
    for part in partitions:
        rows += len(part)
        check_size(rows, len(names))
        columns = zip(*part, strict=True)
        yield pa.table([_array([_plain(v) for v in column]) for column in columns], names=names)


def _plain(value: Any) -> Any:
    """A value as Arrow tells its type; what it has none for becomes a text."""
    if isinstance(value, Decimal):
        return float(value)
    if value is None or type(value).__module__ in ("builtins", "datetime"):
        return str(value) if isinstance(value, dict | list | tuple | set) else value
    return str(value)


def _array(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        # A database such as SQLite may have values of several types in a column.
        return pa.array([None if value is None else str(value) for value in values])


def _joined(tables: list[pa.Table], names: Sequence[str]) -> pa.Table:
    """The batches one behind the other: a column that has several types becomes texts."""
    check_size(sum(len(table) for table in tables), len(names))
    columns = []
    for name in names:
        chunks = [table.column(name) for table in tables]
        try:
            kind = pa.unify_schemas(
                [pa.schema({name: chunk.type}) for chunk in chunks], promote_options="permissive"
            )
            cast = [chunk.cast(kind.field(name).type) for chunk in chunks]
        except pa.ArrowException:
            cast = [chunk.cast(pa.string()) for chunk in chunks]
        columns.append(pa.chunked_array([part for chunk in cast for part in chunk.chunks]))
    return pa.table(columns, names=list(names))


def _written(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())
