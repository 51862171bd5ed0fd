from __future__ import annotations

import sqlite3
import traceback
from contextlib import closing
from pathlib import Path

import pytest

from models.errors import DataRefused
from models.training import queries
from models.training.queries import query, types_of
from models.training.spec import Spec
from models.training.tables import read_table

ROWS = [(at, at / 2, f"100% {at}", at if at < 25 else "many") for at in range(30)]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite database with one table, of which a column has values of several types."""
    path = tmp_path_factory.mktemp("database") / "own.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE sold (id INTEGER, price REAL, name TEXT, mixed)")
        connection.executemany("INSERT INTO sold VALUES (?, ?, ?, ?)", ROWS)
        connection.commit()
    return path


@pytest.fixture
def url(path: Path) -> str:
    """The URL of that database."""
    return f"sqlite:///{path}"


def test_rows_of_a_query_keep_their_types(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "ROWS_AT_ONCE", 20)  # so that batches differ in type
    data = query("SELECT *, '12:30' AS time FROM sold WHERE name LIKE '100\u0025%'", url)

    kinds = {"id": "int64", "price": "double", "name": "string", "mixed": "string"}
    assert types_of(data) == kinds | {"time": "string"}
    frame = read_table(data, name="q", spec=Spec(model="m", target="id")).frame
    assert frame["price"].tolist() == [row[1] for row in ROWS]
    assert frame["mixed"].tolist() == [str(row[3]) for row in ROWS]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM sold",
        "DELETE FROM sold RETURNING id",
        "INSERT INTO sold VALUES (1, 2, 'x', 3) RETURNING id",
        "CREATE TABLE other (a)",
        "DROP TABLE sold",
        "SELECT",
        "SELECT nothing FROM sold",
        "SELECT id, id FROM sold",
        "SELECT id FROM sold WHERE id < 0",
    ],
)
def test_query_that_writes_or_gives_no_table_is_refused(sql: str, url: str, path: Path) -> None:
    with pytest.raises(DataRefused):
        query(sql, url)

    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM sold").fetchone() == (len(ROWS),)
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (1,)


@pytest.mark.parametrize(
    "url",
    [
        "no url with a secret",
        "no-such://me:secret@here/there",
        "mssql://me:secret@here/there",
        "postgresql://me:part@of:secret@here/there",  # whose password should have been escaped
        f"sqlite:///{__file__}?timeout=secret",
    ],
)
def test_url_is_not_repeated_where_it_cannot_be_used(url: str) -> None:
    with pytest.raises(DataRefused) as refused:
        query("SELECT 1", url)

    assert "secret" not in "".join(traceback.format_exception(refused.value))


def test_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(DataRefused):
        query("SELECT 1", f"sqlite:///{tmp_path}/none.db")

    assert not list(tmp_path.iterdir())
