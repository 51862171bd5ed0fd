"""One suite over every engine: what is compiled answers as the model's own library does."""

from __future__ import annotations

import contextlib
import functools
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.arrays import pack_arrays
from models.compilation import Predictor, Unsuitable
from models.engines import ENGINES
from models.errors import ArraysMalformed, MethodUnknown, RowsRefused
from models.tables import Features, row_count, take
from tests.contracts.engine_models import (
    CASES,
    CHAIN,
    NUMERIC,
    arrays_of,
    compiled,
    fitted,
    native,
    rows_for,
    taken_rows,
)

TOLERANCE = 1e-9
THREADS = 8
ROOT = Path(__file__).parent.parent.parent
OF_OTHER_LIBRARIES = {"layers"}  # whose own tests need an extra
every_model = pytest.mark.parametrize(("engine", "name"), CASES)


@functools.cache
def _own_answer(name: str, method: str, part: int, row: int | None) -> NDArray[Any] | None:
    """The library's own answer, or None where it refuses."""
    rows = rows_for(name)[part]
    try:
        with np.errstate(all="ignore"):
            return native(name).answer(method, rows if row is None else take(rows, row, row + 1))
    except Exception:  # noqa: BLE001  every library refuses in its own way
        return None


def _assert_alike(own: NDArray[Any], other: NDArray[Any]) -> None:
    assert own.shape == other.shape
    if own.dtype.kind != "f":
        assert own.tolist() == other.tolist()
        return
    assert other.dtype.kind == "f"
    usual = np.abs(own[np.isfinite(own)])
    floor = TOLERANCE * float(np.median(usual)) if usual.size else 0.0
    np.testing.assert_allclose(other, own, rtol=TOLERANCE, atol=floor)


def _parts(name: str) -> Iterator[tuple[int, Features]]:
    yield from enumerate(rows_for(name))


def test_every_engine_is_in_this_suite() -> None:
    assert {engine for engine, _ in CASES} == ENGINES.keys() - OF_OTHER_LIBRARIES


@every_model
def test_every_method_answers_as_the_library_does(engine: str, name: str) -> None:
    predictor = compiled(engine, name)

    assert predictor.methods
    assert predictor.size > 0
    for method in predictor.methods:
        for part, rows in _parts(name):
            own = _own_answer(name, method, part, None)
            if own is not None:
                _assert_alike(own, predictor.answer(method, rows))


@every_model
def test_row_that_the_library_refuses_gets_no_answer(engine: str, name: str) -> None:
    predictor = compiled(engine, name)
    method = sorted(predictor.methods)[0]
    for part, rows in _parts(name):
        if _own_answer(name, method, part, None) is not None:
            continue
        for row in range(row_count(rows)):
            own = _own_answer(name, method, part, row)
            if own is None:
                with pytest.raises(RowsRefused):
                    predictor.answer(method, take(rows, row, row + 1))
            else:
                _assert_alike(own, predictor.answer(method, take(rows, row, row + 1)))


@every_model
def test_row_alone_is_answered_as_among_others(engine: str, name: str) -> None:
    predictor = compiled(engine, name)
    rows = taken_rows(name)
    for method in predictor.methods:
        whole = predictor.answer(method, rows)
        for row in range(0, row_count(rows), 7):
            alone = predictor.answer(method, take(rows, row, row + 1))
            _assert_alike(whole[row : row + 1], alone)


@every_model
def test_many_threads_may_ask_at_once(engine: str, name: str) -> None:
    predictor = compiled(engine, name)
    rows = taken_rows(name)
    method = sorted(predictor.methods)[0]
    wanted = predictor.answer(method, rows).tolist()

    with ThreadPoolExecutor(THREADS) as threads:
        answers = threads.map(lambda _: predictor.answer(method, rows).tolist(), range(4 * THREADS))

    assert all(str(answer) == str(wanted) for answer in answers)


@every_model
def test_method_that_is_not_compiled_is_refused(engine: str, name: str) -> None:
    with pytest.raises((MethodUnknown, AssertionError, KeyError)):
        compiled(engine, name).answer("fit", taken_rows(name))


@every_model
def test_arrays_are_refused_when_one_lacks_or_is_too_many(engine: str, name: str) -> None:
    arrays = dict(arrays_of(engine, name))
    with pytest.raises(ArraysMalformed):
        ENGINES[engine].load(arrays | {"another": np.ones(3)})
    with pytest.raises(ArraysMalformed):
        ENGINES[engine].load({})


def _changes(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """The array as it should not be: of another dtype, shape or length, or leading elsewhere."""
    yield array.reshape((1, *array.shape))
    yield np.concatenate([array, array])
    yield array.astype(np.float64) if array.dtype.kind in "bi" else np.zeros(array.shape, np.int64)
    if array.dtype.kind in "iu":
        for step in (1, -1, 1_000_000, -1_000_000):
            changed = array.copy()
            changed.flat[-1] += np.asarray(step).astype(array.dtype)
            yield changed


def _tried(engine: str, arrays: dict[str, NDArray[Any]], rows: Features) -> None:
    """Load what was changed: refused, or else it answers or raises like anything in Python."""
    try:
        predictor = ENGINES[engine].load(arrays)
    except ArraysMalformed:
        return
    _asked(predictor, rows)


def _asked(predictor: Predictor, rows: Features) -> None:
    for method in predictor.methods:
        with contextlib.suppress(Exception):  # whatever it raises, the worker lives
            predictor.answer(method, rows)


@pytest.mark.parametrize(
    ("engine", "name"), [*(("numeric", n) for n in NUMERIC), *(("chain", n) for n in CHAIN)]
)
def test_changed_arrays_are_refused_or_stay_within_python(engine: str, name: str) -> None:
    arrays = dict(arrays_of(engine, name))
    rows = take(taken_rows(name), 0, 3)
    for key, array in list(arrays.items())[:80]:
        for changed in _changes(array):
            _tried(engine, arrays | {key: changed}, rows)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_change_of_a_number_leaves_python(data: st.DataObject) -> None:
    engine, name = data.draw(
        st.sampled_from([case for case in CASES if case[0] in {"numeric", "chain"}])
    )
    arrays = dict(arrays_of(engine, name))
    key = data.draw(st.sampled_from(sorted(arrays)))
    changed = arrays[key].copy()
    at = data.draw(st.integers(0, changed.size - 1))
    numbers = {"f": st.floats(allow_nan=False, allow_infinity=False), "b": st.booleans()}
    whole = st.sampled_from([-2, -1, 0, 1, 2, 3, 100, 2**31, 2**62])
    changed.flat[at] = data.draw(numbers.get(changed.dtype.kind, whole))
    _tried(engine, arrays | {key: changed}, take(taken_rows(name), 0, 3))


# Each line names arrays, which a process of its own tries; what all need is imported once.
TRIALS = """
import os, signal, sys, numpy as np
from models.arrays import unpack_arrays
from models.engines import ENGINES
from tests.contracts.test_engines import _changes, _tried

def try_all(engine, path, columns):
    arrays = unpack_arrays(open(path, "rb").read())
    rows = np.random.default_rng(0).normal(size=(3, columns))
    for key, array in arrays.items():
        for changed in _changes(array):
            _tried(engine, arrays | {key: changed}, rows)

for line in sys.stdin:
    engine, columns, path = line.rstrip().split(" ", 2)
    child = os.fork()
    if child == 0:
        signal.alarm(120)
        try:
            try_all(engine, path, int(columns))
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def trials() -> Iterator[subprocess.Popen[str]]:
    """A program that tells how the process ended that tried the arrays of a line."""
    with subprocess.Popen(
        [sys.executable, "-c", TRIALS],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as process:
        yield process


@pytest.mark.parametrize(
    ("engine", "name"), [case for case in CASES if case[0] in {"linear", "trees", "graph"}]
)
def test_changed_arrays_do_not_kill_the_process(
    trials: subprocess.Popen[str], engine: str, name: str, tmp_path: Path
) -> None:
    stored = tmp_path / "arrays"
    stored.write_bytes(pack_arrays(arrays_of(engine, name)))
    assert trials.stdin
    assert trials.stdout

    print(engine, native(name).columns.count, stored, file=trials.stdin)

    assert trials.stdout.readline() == "0\n"


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_engine_says_why_it_takes_no_other_model(engine: str) -> None:
    refusal = ENGINES[engine].compile(object())

    assert isinstance(refusal, Unsuitable)
    assert refusal.reason


@pytest.mark.parametrize("engine", sorted(ENGINES.keys() - {"graph", *OF_OTHER_LIBRARIES}))
def test_class_that_only_looks_like_the_librarys_is_not_compiled(engine: str) -> None:
    name = next(name for own, name in CASES if own == engine)
    made = type(fitted(name))
    other = type(made.__name__, (made,), {"__module__": "somewhere"})
    changed: Any = object.__new__(other)
    changed.__dict__.update(fitted(name).__dict__)

    assert isinstance(ENGINES[engine].compile(changed), Unsuitable)
