"""npz: arrays by name, each a column; or `X` with `y`, and `feature_names` if there are any.

Nothing in it is ever unpickled: an array of objects is refused by its header.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.errors import DataRefused, FormatRefused
from models.soundness.archives import check_archive
from models.training.sources import Columns, check_names, check_size
from models.training.study import Finding

MOST_UNPACKED: Final = 4 * 1024**3
MATRIX, TARGET, NAMES = "X", "y", "feature_names"
ENDING: Final = ".npy"
READ: Final = "biufUSM"


def read_npz(data: bytes, *, target: str) -> Columns:
    """The columns of an archive of arrays; `y` is called as the target."""
    arrays = _arrays(data)
    findings: tuple[Finding, ...] = ()
    if MATRIX in arrays and (TARGET in arrays or arrays[MATRIX].ndim > 1):
        arrays, findings = _parted(arrays, target)
    check_names(tuple(arrays))
    rows = {len(array) if array.ndim == 1 else -1 for array in arrays.values()}
    if len(rows) != 1 or -1 in rows:
        shapes = tuple(f"{name}: {array.shape}" for name, array in arrays.items())
        problem = "its arrays are not columns of one length"
        raise DataRefused(problem, "give X and y, or one array for each column", report=shapes[:20])
    check_size(rows.pop(), len(arrays))
    values = {name: _plain(name, array) for name, array in arrays.items()}
    return Columns(values=values, set_aside={}, findings=findings)


def _arrays(data: bytes) -> dict[str, NDArray[Any]]:
    try:
        sizes = check_archive(data, most_bytes=MOST_UNPACKED)
        strange = [name for name in sizes if not name.endswith(ENDING)]
        if strange or not sizes:
            raise DataRefused(f"its archive holds {strange[:3]}, where arrays are taken")
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FormatRefused as error:
        raise DataRefused(error.problem, "write it with numpy.savez, without objects") from error
    except (ValueError, OSError, EOFError, KeyError) as error:
        raise DataRefused(f"it cannot be read as npz: {str(error)[:200]}") from error


def _parted(
    arrays: Mapping[str, NDArray[Any]], target: str
) -> tuple[dict[str, NDArray[Any]], tuple[Finding, ...]]:
    """The columns of X, and y; pictures and the like are laid out as rows of numbers."""
    matrix, findings = arrays[MATRIX], []
    rows = len(matrix) if matrix.ndim else 0
    if not rows:
        raise DataRefused("it has no rows")
    flat = matrix.reshape(rows, -1)
    check_size(rows, flat.shape[1])
    if matrix.ndim > 2:
        what = f"rows of the shape {matrix.shape[1:]} are laid out as {flat.shape[1]} columns"
        findings.append(Finding(severity="note", where=MATRIX, what=what))
    given = arrays[NAMES].astype(str).ravel().tolist() if NAMES in arrays else None
    names = given or [f"x{at}" for at in range(flat.shape[1])]
    if len(names) != flat.shape[1]:
        raise DataRefused(f"it has {len(names)} feature_names for {flat.shape[1]} columns")
    check_names(names)
    parted = {name: flat[:, at] for at, name in enumerate(names)}
    for name, array in arrays.items():
        if name not in (MATRIX, NAMES):
            parted[target if name == TARGET and target not in names else name] = array
    return parted, tuple(findings)


def _plain(name: str, array: NDArray[Any]) -> NDArray[Any]:
    kind = array.dtype.kind
    if kind not in READ:
        raise DataRefused(f"its array {name[:80]!r} is of the dtype {str(array.dtype)[:80]}")
    if kind == "M":
        texts = np.datetime_as_string(array.astype("datetime64[s]")).astype(object)
        texts[np.isnat(array)] = None
        return np.asarray(texts)
    if kind in "US":
        return _texts(name, array)
    if kind == "u":
        array = array.astype(np.float64 if array.max(initial=0) >= 2**63 else np.int64)
    return array.astype({"b": np.bool_, "i": np.int64}.get(array.dtype.kind, np.float64))


def _texts(name: str, array: NDArray[Any]) -> NDArray[Any]:
    try:
        texts = array.astype(str).tolist()
    except UnicodeDecodeError as error:
        raise DataRefused(f"its array {name[:80]!r} holds bytes that are no text") from error
    return np.array([text or None for text in texts], dtype=object)
