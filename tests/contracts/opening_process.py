"""A program that opens model files as a host does: each in a fresh sandboxed process of its own.

One JSON object a line in and out. In: format, path, columns. Out: what came of it.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import numpy as np

from models.arrays import pack_arrays, unpack_arrays
from models.compilation import Unsuitable
from models.compilation.layers import LayersEngine
from models.errors import ModelsError
from models.hosting import sandbox, warming
from models.hosting.confinement import Confinement
from models.hosting.opener import import_handlers
from models.tables import Features, Table

MEMORY_BYTES = 3 * 1024**3
CPU_SECONDS = 60
PIECE = 65_536


def main() -> None:
    """Open what standard input names until it ends."""
    flavour = sys.argv[1]
    warming.leave_out()
    warming.warm(flavour)
    import_handlers(flavour)
    for line in sys.stdin:
        order = json.loads(line)
        with open(order["path"], "rb") as file:  # noqa: PTH123  the child has no files
            data = file.read()
        print(json.dumps(_in_child(order, data, flavour)), flush=True)  # noqa: T201


def _in_child(order: dict[str, Any], data: bytes, flavour: str) -> dict[str, Any]:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        confinement = Confinement(
            memory_bytes=MEMORY_BYTES,
            keep=(writing,),
            threads=flavour == "tensorflow",
            cpu_seconds=CPU_SECONDS,
        )
        sandbox.enter(confinement)
        answer = memoryview(json.dumps(_opened(order, data)).encode())
        while answer:
            answer = answer[os.write(writing, answer) :]
        os._exit(0)
    os.close(writing)
    parts = []
    while part := os.read(reading, PIECE):
        parts.append(part)
    os.close(reading)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return json.loads(b"".join(parts)) if status == 0 else {"outcome": "died", "status": status}


def _opened(order: dict[str, Any], data: bytes) -> dict[str, Any]:
    from models.estimators import serve_natively
    from models.handlers import handler_of

    try:
        opened = handler_of(order["format"]).open(data)
        predictor = serve_natively(opened.estimator)
        rows = _rows(order["columns"])
        answers = {m: predictor.answer(m, rows).tolist() for m in predictor.methods}
    except ModelsError as error:
        return {"outcome": type(error).__name__, "reason": str(error)}
    except Exception as error:  # noqa: BLE001  a model may fail at rows; it may not end its process
        return {"outcome": "failed", "reason": f"{type(error).__name__}: {error}"}
    told = {"outcome": "opened", "answers": answers, "versions": list(opened.other_versions)}
    return told | {"layers": _compiled(opened.estimator, rows)}


def _compiled(estimator: Any, rows: Features) -> list[Any] | str:
    """What the engine of Keras' layers answers, opened as a worker opens it, or why it does not."""
    arrays = LayersEngine().compile(estimator)
    if isinstance(arrays, Unsuitable):
        return arrays.reason
    predictor = LayersEngine().load(unpack_arrays(pack_arrays(arrays)))
    answers: list[Any] = predictor.answer("predict", rows).tolist()
    return answers


def _rows(columns: list[list[Any]]) -> Features:
    arrays = [
        np.array(column, object if isinstance(column[0], str) else np.float64) for column in columns
    ]
    if any(array.dtype == object for array in arrays):
        return Table(tuple(arrays))
    return np.ascontiguousarray(np.column_stack(arrays))


if __name__ == "__main__":
    main()
