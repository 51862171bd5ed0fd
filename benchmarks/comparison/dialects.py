"""How each server wants to be asked, and where the predictions are in what it answers."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.comparison.loads import Load, rows_of

JSON = {"Content-Type": "application/json"}
NPY = {"Content-Type": "application/x-npy"}
ARROW = {"Content-Type": "application/vnd.apache.arrow.stream"}
PARQUET = {"Content-Type": "application/vnd.apache.parquet"}
BOUNDARY = "a-line-that-no-file-has"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
OCTETS = {"Content-Type": "application/octet-stream"}


@dataclass(frozen=True, slots=True)
class Ask:
    """A request, without what proves who sends it, and how its answer is read."""

    path: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    read: Callable[[bytes], Any]
    method: str = "POST"


# From a load to its request; None where the server does not take it.
Dialect = Callable[[Load], Ask | None]


def sallyport(load: Load) -> Ask:
    """The native call, V2's binary extension, and a stream of Arrow."""
    match load.form:
        case "json":
            body = {"features": rows_of(load.rows).tolist(), "model": load.model}
            return Ask("/predict", JSON, as_json(body), member("prediction"))
        case "binary":
            return open_inference_binary(load)
        case "arrow":
            return Ask(f"/models/{load.model}/predict", ARROW, as_arrow(load.rows), read_arrow)


def features(load: Load) -> Ask:
    """An endpoint for each form, as our small FastAPI, Flask and Ray Serve applications have."""
    path = f"/predict/{load.model}"
    match load.form:
        case "json":
            body = {"features": rows_of(load.rows).tolist()}
            return Ask(path, JSON, as_json(body), member("prediction"))
        case "binary":
            return Ask(f"{path}/npy", NPY, as_npy(load.rows), read_npy)
        case "arrow":
            return Ask(f"{path}/arrow", ARROW, as_arrow(load.rows), read_arrow)


def features_in_json(load: Load) -> Ask | None:
    """The same, in JSON alone."""
    return features(load) if load.form == "json" else None


def named_features(load: Load) -> Ask | None:
    """One endpoint, which is told the model in the body."""
    if load.form != "json":
        return None
    body = {"features": rows_of(load.rows).tolist(), "model": load.model}
    return Ask("/predict", JSON, as_json(body), member("prediction"))


def open_inference(load: Load) -> Ask | None:
    """The Open Inference Protocol V2 in JSON."""
    if load.form != "json":
        return None
    rows = rows_of(load.rows)
    tensor = {"name": "input", "shape": list(rows.shape), "datatype": "FP64"}
    body = {"inputs": [tensor | {"data": rows.ravel().tolist()}]}
    return Ask(f"/v2/models/{load.model}/infer", JSON, as_json(body), _read_tensor)


def mlflow(load: Load) -> Ask | None:
    """MLflow's scoring protocol, where a server has one model; its binary form is Parquet."""
    if load.form == "arrow":
        return None
    if load.form == "binary":
        return Ask("/invocations", PARQUET, as_parquet(load.rows), member("predictions"))
    body = {"inputs": rows_of(load.rows).tolist()}
    return Ask("/invocations", JSON, as_json(body), member("predictions"))


def bentoml(load: Load) -> Ask | None:
    """One endpoint for JSON, and one for a file in a form."""
    if load.form == "arrow":
        return None
    if load.form == "binary":
        return Ask("/predict/npy", FORM, as_form(load), _read_list)
    body = {"features": rows_of(load.rows).tolist(), "model": load.model}
    return Ask("/predict", JSON, as_json(body), _read_list)


def open_inference_binary(load: Load) -> Ask:
    """V2 with its binary extension, both ways; the numbers begin at a multiple of eight."""
    rows = rows_of(load.rows)
    tensor: dict[str, Any] = {"name": "input", "shape": list(rows.shape), "datatype": "FP64"}
    tensor["parameters"] = {"binary_data_size": rows.nbytes}
    head = as_json({"inputs": [tensor], "parameters": {"binary_data_output": True}})
    head += b" " * (-len(head) % 8)
    headers = OCTETS | {"Inference-Header-Content-Length": str(len(head))}
    path = f"/v2/models/{load.model}/infer"
    return Ask(path, headers, head + rows.tobytes(), _read_binary)


def as_json(value: Any) -> bytes:
    """JSON without spaces, as a client of any language may send it."""
    return json.dumps(value, separators=(",", ":")).encode()


@cache
def as_npy(count: int) -> bytes:
    """Rows as one npy file."""
    out = io.BytesIO()
    np.save(out, rows_of(count))
    return out.getvalue()


@cache
def as_arrow(count: int) -> bytes:
    """Rows as a stream of Arrow record batches."""
    columns = {f"x{number}": column for number, column in enumerate(rows_of(count).T)}
    table = pa.table(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


@cache
def as_parquet(count: int) -> bytes:
    """Rows as a Parquet file, as pandas writes it."""
    out = io.BytesIO()
    columns = {f"x{number}": column for number, column in enumerate(rows_of(count).T)}
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def as_form(load: Load) -> bytes:
    """A form with the model's name, and the rows as an npy file."""
    part = f"--{BOUNDARY}\r\nContent-Disposition: form-data; name="
    name = f'{part}"model"\r\n\r\n{load.model}\r\n'
    file = f'{part}"rows"; filename="rows.npy"\r\nContent-Type: application/x-npy\r\n\r\n'
    return f"{name}{file}".encode() + as_npy(load.rows) + f"\r\n--{BOUNDARY}--\r\n".encode()


def member(name: str) -> Callable[[bytes], Any]:
    """Read one member of a JSON object."""
    return lambda body: np.asarray(json.loads(body)[name])


def read_npy(body: bytes) -> Any:
    """Read an npy file."""
    return np.load(io.BytesIO(body), allow_pickle=False)


def read_arrow(body: bytes) -> Any:
    """Read the one column of an Arrow stream."""
    return pa.ipc.open_stream(body).read_all().column(0).to_numpy()


def _read_list(body: bytes) -> Any:
    return np.asarray(json.loads(body))


def _read_tensor(body: bytes) -> Any:
    return np.asarray(json.loads(body)["outputs"][0]["data"])


def _read_binary(body: bytes) -> Any:
    """The only output follows the head, which ends at the last brace before it."""
    size = re.search(rb'"binary_data_size":\s*(\d+)', body)
    kind = re.search(rb'"datatype":\s*"(FP64|INT64)"', body)
    if size is None or kind is None:
        raise ValueError(body[:200])
    return np.frombuffer(body[-int(size[1]) :], "<f8" if kind[1] == b"FP64" else "<i8")
