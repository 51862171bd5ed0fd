"""A table to train on, read from the bytes of a file; its format is told by its content.

Native parsers read bytes that a tenant chose: only a process of the sandbox, or the operator's
own, may call this.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pandas as pd

from config.prose import one_line
from models.errors import DataRefused
from models.training.sources import Columns
from models.training.sources.arrow_tables import FILE, read_arrow, read_parquet
from models.training.sources.csv_tables import read_csv
from models.training.sources.npz_tables import read_npz
from models.training.spec import Spec
from models.training.study import Finding

PARQUET: Final = b"PAR1"
STREAM: Final = b"\xff\xff\xff\xff"
ARCHIVE: Final = b"PK\x03\x04"
OTHERS: Final[Mapping[bytes, str]] = {
    b"\x1f\x8b": "gzip: unpack it",
    b"\x93NUMPY": "npy: put it into an npz file with its target, with numpy.savez",
    b"\xd0\xcf\x11\xe0": "an old Excel file: save it as CSV in UTF-8",
    b"\x28\xb5\x2f\xfd": "Zstandard: unpack it",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """What a file holds: bool, int64 or float64 columns, or objects that are each str or None.

    `set_aside` are columns that no model can take, and why; `digest` is the SHA-256 of the file.
    """

    frame: pd.DataFrame
    findings: tuple[Finding, ...]
    digest: str
    set_aside: Mapping[str, str]


def read_table(data: bytes, *, name: str, spec: Spec) -> Table:
    """Read a table of any of the formats; raises DataRefused with a report of what is wrong."""
    try:
        columns = _read(data, target=spec.target)
    except DataRefused as error:
        shown = one_line(name, 80)
        problem = f"{shown}: {error.problem}" if shown else error.problem
        raise DataRefused(problem, error.remedy, report=error.report) from error
    series = {each: pd.Series(v, dtype=v.dtype) for each, v in columns.values.items()}
    return Table(
        frame=pd.DataFrame(series),
        findings=columns.findings,
        digest=hashlib.sha256(data).hexdigest(),
        set_aside=columns.set_aside,
    )


def _read(data: bytes, *, target: str) -> Columns:
    if not data:
        raise DataRefused("it is empty")
    for beginning, kind in OTHERS.items():
        if data.startswith(beginning):
            raise DataRefused(f"it is {kind}")
    if data.startswith(PARQUET):
        return read_parquet(data)
    if data.startswith((FILE, STREAM)):
        return read_arrow(data)
    if data.startswith(ARCHIVE):
        return read_npz(data, target=target)
    return read_csv(data)
