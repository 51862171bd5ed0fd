"""A program like the parent of hosts: tries estimators and libraries within the sandbox.

It is a program because a fork does not have the threads of its parent's native pools, and only a
new process can do without them. It prints, as JSON, what became of each trial.
"""

from __future__ import annotations

import importlib
import io
import json
import sys
import traceback
import warnings
import zipfile
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from typing import Any, Final

import joblib
import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import skops.io
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from skops.io.exceptions import UnsupportedTypeException

from models.hosting.confinement import Confinement
from models.hosting.sandbox import enter
from models.hosting.warming import leave_out, warm
from models.signature import METHODS
from tests.models.every_estimator import LABELS, ON, ROWS, fitted, names
from tests.models.hosting.children import in_child

GROWTH: Final = 512 * 1024 * 1024
RANDOM: Final = frozenset({("BernoulliRBM", "score_samples")})


class Imports:
    """What is looked for and not there yet."""

    def __init__(self) -> None:
        self.sought: list[str] = []

    def find_spec(self, name: str, *_arguments: object) -> ModuleSpec | None:
        """Note the name, and leave the finding to others."""
        self.sought.append(name)
        return None


def confined(act: Callable[[], object]) -> Any:
    """Do something within the sandbox; return the modules that it sought, or how it failed."""

    def run(report: int) -> list[str]:
        enter(Confinement(memory_bytes=GROWTH, keep=(report,), level="full"))
        imports = Imports()
        sys.meta_path.insert(0, imports)
        act()
        return imports.sought

    end = in_child(run)
    return end.told if end.code in (0, 1) else f"it ended with {end.code}"


def comparable(answer: Any) -> Any:
    """An answer as one can compare it."""
    if not hasattr(answer, "tocsr"):
        return answer
    rows = answer.tocsr()
    return [rows.indptr, rows.indices, rows.data]


def answers(model: Any, features: Any) -> list[Any]:
    """What every method says that says the same each time."""
    kind = type(model).__name__
    methods = [name for name in METHODS if hasattr(model, name) and (kind, name) not in RANDOM]
    return [_answer(getattr(model, name), features) for name in methods]


def _answer(method: Callable[[Any], Any], features: Any) -> Any:
    try:
        return comparable(method(features))
    except (TypeError, ValueError) as error:  # what it does not take, it must take nowhere
        return str(error)


def estimator(name: str) -> Any:
    """Whether an estimator, opened within from what was saved, answers as it did outside."""
    model = fitted(name)
    inputs = [ON[name]()[0] if name in ON else ROWS]
    if isinstance(inputs[0], np.ndarray) and inputs[0].ndim == 2:
        inputs.append(pd.DataFrame(inputs[0], columns=[f"c{n}" for n in range(len(inputs[0][0]))]))
    expected = [answers(model, features) for features in inputs]
    pickled = io.BytesIO()
    joblib.dump(model, pickled)
    try:
        saved = skops.io.dumps(model)
        trusted = skops.io.get_untrusted_types(data=saved)
    except UnsupportedTypeException:
        saved, trusted = b"", []

    def serve() -> None:
        pickled.seek(0)
        opened = [joblib.load(pickled)]  # noqa: TID251 - of our own making
        if saved:
            opened.append(skops.io.loads(saved, trusted=trusted))
        for each in opened:
            repr(each)
            _compare([answers(each, features) for features in inputs], expected)

    return confined(serve)


def _compare(found: Any, expected: Any) -> None:
    if isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for each, other in zip(found, expected, strict=True):
            _compare(each, other)
    elif isinstance(expected, np.ndarray) and expected.dtype.kind == "f":
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    else:
        np.testing.assert_equal(np.asarray(found), np.asarray(expected))


def _frames() -> None:
    frame = pd.DataFrame({"a": [1.0, None, 3.0], "b": ["x", None, "z"]})
    frame["c"] = frame["b"].astype("category")
    assert frame.isna().to_numpy().sum() == 3
    assert pd.concat([frame, frame]).groupby("c", observed=True).size().tolist() == [2, 2]
    assert pd.read_csv(io.BytesIO(b"a,b\n1,x\n,y\n"))["b"].tolist() == ["x", "y"]
    assert pd.read_json(io.StringIO('[{"a": 1}]'))["a"].tolist() == [1]


def _parquet() -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"a": [1.0, 2.0], "b": ["x", None]}), buffer)
    # Not read_table: what it reads by waits for threads.
    file = pq.ParquetFile(pa.BufferReader(buffer.getvalue()), pre_buffer=False)
    table = file.read(use_threads=False)
    assert table.column("b").to_pylist() == ["x", None]
    assert table.to_pandas(use_threads=False)["a"].tolist() == [1.0, 2.0]


def _archives() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ä.txt", "x" * 1000)
    with zipfile.ZipFile(buffer) as archive:
        assert archive.read("ä.txt") == b"x" * 1000
    saved = io.BytesIO()
    np.savez_compressed(saved, a=ROWS)
    saved.seek(0)
    np.testing.assert_array_equal(np.load(saved)["a"], ROWS)
    assert json.loads(orjson.dumps({"a": 1.5})) == {"a": 1.5}


def _graphs() -> None:
    onnxruntime = importlib.import_module("onnxruntime")
    to_onnx = importlib.import_module("skl2onnx").to_onnx
    model = LogisticRegression().fit(ROWS, LABELS == "up")
    graph = to_onnx(model, ROWS, options={"zipmap": False}).SerializeToString()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    _, chances = session.run(None, {"X": ROWS})
    np.testing.assert_allclose(chances, model.predict_proba(ROWS), rtol=1e-6)


def _trees() -> None:
    treelite = importlib.import_module("treelite")
    forest = RandomForestClassifier(8).fit(ROWS, LABELS)
    model = treelite.sklearn.import_model(forest)
    chances = treelite.gtil.predict(model, ROWS.astype(np.float32), nthread=1)
    np.testing.assert_array_equal(chances[:, 0], forest.predict_proba(ROWS))


def _errors() -> None:
    try:
        LogisticRegression().fit([[1.0]], ["a"])
    except ValueError as error:
        told = "".join(traceback.format_exception(error))
    assert "one class" in told
    warnings.formatwarning("told", UserWarning, __file__, 1)


LIBRARIES: Final[dict[str, Callable[[], None]]] = {
    "data frames": _frames,
    "parquet": _parquet,
    "archives": _archives,
    "graphs": _graphs,
    "trees": _trees,
    "errors": _errors,
}


def main() -> None:
    """Try everything."""
    warnings.simplefilter("ignore")
    leave_out()
    warm()
    found = {name: estimator(name) for name in names()}
    found |= {name: confined(use) for name, use in LIBRARIES.items()}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
