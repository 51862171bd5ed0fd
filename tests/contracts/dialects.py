"""Every dialect as a caller of its own: rows in, answers or its own words of refusal out."""

from __future__ import annotations

import base64
import csv
import io
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlencode

import numpy as np
import pyarrow
import pyarrow.ipc
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

Rows = list[list[float]]


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: for gRPC the HTTP status that its code stands for; no error is "".

    Names of headers, or of trailing metadata, are lower-case.
    """

    status: int
    answers: list[Any] = field(default_factory=list)
    error: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a caller wants: rows of numbers, answered by a model, a version and a method."""

    rows: Rows
    model: str = "linear"
    version: int | str | None = None
    method: str | None = None


class Dialect(Protocol):
    """One way to ask for predictions."""

    name: str
    unknown_alias: int
    drops_columns: bool
    in_portions: bool

    def predict(self, token: str | None, wish: Wish) -> Reply:
        """Ask with a bearer token, or without one."""
        ...

    def encode(self, wish: Wish) -> bytes:
        """The bytes of a request."""
        ...

    def send(self, token: str | None, body: bytes) -> Reply:
        """Send other bytes where a prediction is asked for."""
        ...


class HttpDialect:
    """What the dialects over HTTP have in common."""

    name = ""
    media_type = "application/json"
    unknown_alias = 404
    drops_columns = False  # that the model does not have, by name
    in_portions = False  # a sum over one row may be made in another order than over many

    def __init__(self, client: FlaskClient) -> None:
        self._client = client

    def predict(self, token: str | None, wish: Wish) -> Reply:
        """Ask with a bearer token, or without one."""
        body = self.encode(wish)
        return self._reply(self._post(token, self.path(wish), body, **self.headers(body)))

    def send(self, token: str | None, body: bytes) -> Reply:
        """Send other bytes where a prediction is asked for."""
        return self._reply(self._post(token, self.path(Wish([])), body, **self.headers(body)))

    def path(self, wish: Wish) -> str:
        """Where it is asked."""
        raise NotImplementedError

    def encode(self, wish: Wish) -> bytes:
        """How it is asked."""
        raise NotImplementedError

    def decode(self, response: TestResponse) -> list[Any]:
        """What was answered, row by row."""
        raise NotImplementedError

    def headers(self, body: bytes) -> dict[str, str]:
        """What the body is."""
        return {"Content-Type": self.media_type}

    def error(self, response: TestResponse) -> str:
        """What is wrong, having required the dialect's own form."""
        problem = own_form(response, "application/problem+json", {"type", "title", "status"})
        assert problem["status"] == response.status_code
        return str(problem.get("detail", problem["title"]))

    def _post(self, token: str | None, path: str, body: bytes, **headers: str) -> TestResponse:
        known = {"Authorization": f"Bearer {token}"} if token else {}
        return self._client.post(path, data=body, headers=known | headers, buffered=True)

    def _reply(self, response: TestResponse) -> Reply:
        headers = {name.lower(): value for name, value in response.headers}
        if response.status_code == 200:
            return Reply(200, self.decode(response), "", headers)
        return Reply(response.status_code, [], self.error(response), headers)


def own_form(response: TestResponse, media_type: str, members: set[str]) -> dict[str, Any]:
    """Require a JSON object of this media type with at least these members."""
    assert response.headers["Content-Type"] == media_type, response.text
    body: dict[str, Any] = response.get_json(force=True)
    assert members <= body.keys(), body
    return body


class Native(HttpDialect):
    """`POST /predict`."""

    name = "native"

    def path(self, wish: Wish) -> str:
        return "/predict"

    def encode(self, wish: Wish) -> bytes:
        named = {"model": wish.model, "version": wish.version, "method": wish.method}
        given = {name: value for name, value in named.items() if value is not None}
        return json.dumps({"features": wish.rows} | given).encode()

    def decode(self, response: TestResponse) -> list[Any]:
        return list(response.get_json()["prediction"])


class OpenInference(HttpDialect):
    """The Open Inference Protocol in JSON, its tensors flat."""

    name = "open inference"

    def path(self, wish: Wish) -> str:
        version = "" if wish.version is None else f"/versions/{wish.version}"
        return f"/v2/models/{wish.model}{version}/infer"

    def encode(self, wish: Wish) -> bytes:
        shape = [len(wish.rows), len(wish.rows[0])]
        tensor = {"name": "input", "datatype": "FP64", "shape": shape}
        flat = [cell for row in wish.rows for cell in row]
        body: dict[str, Any] = {"id": "7", "inputs": [tensor | {"data": flat}]}
        if wish.method is not None:
            body["outputs"] = [{"name": wish.method}]
        return json.dumps(body).encode()

    def decode(self, response: TestResponse) -> list[Any]:
        body = response.get_json()
        assert body["id"] == "7"
        [output] = body["outputs"]
        return shaped(output["data"], output["shape"])

    def error(self, response: TestResponse) -> str:
        return only_error(response)


class OpenInferenceBinary(OpenInference):
    """The Open Inference Protocol with binary tensors both ways."""

    name = "open inference, binary"
    media_type = "application/octet-stream"

    def encode(self, wish: Wish) -> bytes:
        matrix = np.array(wish.rows, dtype="<f8")
        size = {"binary_data_size": matrix.nbytes}
        tensor = {"name": "x", "datatype": "FP64", "shape": matrix.shape, "parameters": size}
        body: dict[str, Any] = {"id": "7", "inputs": [tensor]}
        body["parameters"] = {"binary_data_output": True}
        if wish.method is not None:
            body["outputs"] = [{"name": wish.method}]
        return json.dumps(body).encode() + matrix.tobytes()

    def headers(self, body: bytes) -> dict[str, str]:
        try:
            length = json.JSONDecoder().raw_decode(body.decode("latin-1"))[1]
        except (ValueError, RecursionError):
            length = len(body)
        return super().headers(body) | {"Inference-Header-Content-Length": str(length)}

    def decode(self, response: TestResponse) -> list[Any]:
        length = int(response.headers["Inference-Header-Content-Length"])
        [output] = json.loads(response.data[:length])["outputs"]
        data, datatype = response.data[length:], output["datatype"]
        assert len(data) == output["parameters"]["binary_data_size"]
        if datatype == "BYTES":
            return shaped(texts(data), output["shape"])
        kinds = {"FP64": "<f8", "INT64": "<i8", "BOOL": "?"}
        return shaped(np.frombuffer(data, kinds[datatype]).tolist(), output["shape"])


class TensorFlowRows(HttpDialect):
    """TF Serving's REST API, row by row."""

    name = "tensorflow, rows"
    unknown_alias = 400  # an invalid argument, as TF Serving has it

    def path(self, wish: Wish) -> str:
        version = wish.version
        part = "" if version is None else f"/versions/{version}"
        part = f"/labels/{version}" if isinstance(version, str) else part
        return f"/v1/models/{wish.model}{part}:predict"

    def encode(self, wish: Wish) -> bytes:
        signature = {} if wish.method is None else {"signature_name": wish.method}
        return json.dumps({"instances": wish.rows} | signature).encode()

    def decode(self, response: TestResponse) -> list[Any]:
        return list(response.get_json()["predictions"])

    def error(self, response: TestResponse) -> str:
        return only_error(response)


class TensorFlowColumns(TensorFlowRows):
    """TF Serving's REST API, by columns."""

    name = "tensorflow, columns"

    def encode(self, wish: Wish) -> bytes:
        signature = {} if wish.method is None else {"signature_name": wish.method}
        return json.dumps({"inputs": wish.rows} | signature).encode()

    def decode(self, response: TestResponse) -> list[Any]:
        return list(response.get_json()["outputs"])


class MlflowInstances(HttpDialect):
    """MLflow's scoring server."""

    name = "mlflow, inputs"
    form = "inputs"

    def path(self, wish: Wish) -> str:
        version = "" if wish.version is None else f"?version={wish.version}"
        return f"/models/{wish.model}/invocations{version}"

    def encode(self, wish: Wish) -> bytes:
        params = {} if wish.method is None else {"params": {"method": wish.method}}
        return json.dumps({self.form: wish.rows} | params).encode()

    def decode(self, response: TestResponse) -> list[Any]:
        return list(response.get_json()["predictions"])

    def error(self, response: TestResponse) -> str:
        body = own_form(response, "application/json", {"error_code", "message"})
        assert body.keys() == {"error_code", "message"}
        return str(body["message"])


class MlflowSplit(MlflowInstances):
    """MLflow's scoring server with a data frame."""

    name = "mlflow, dataframe_split"
    drops_columns = True  # as MLflow's enforcement of signatures does

    def encode(self, wish: Wish) -> bytes:
        params = {} if wish.method is None else {"params": {"method": wish.method}}
        frame = {"columns": [f"x{n}" for n in range(len(wish.rows[0]))], "data": wish.rows}
        return json.dumps({"dataframe_split": frame} | params).encode()


class CsvFile(HttpDialect):
    """A CSV file of rows, answered by one."""

    name = "columnar, csv"
    in_portions = True
    media_type = "text/csv"

    def path(self, wish: Wish) -> str:
        named = {"version": wish.version, "method": wish.method}
        query = {name: value for name, value in named.items() if value is not None}
        return f"/models/{wish.model}/predict?{urlencode(query)}"

    def encode(self, wish: Wish) -> bytes:
        names = [f"x{n}" for n in range(len(wish.rows[0]))]
        lines = [names, *([repr(cell) for cell in row] for row in wish.rows)]
        return "\n".join(map(",".join, lines)).encode()

    def decode(self, response: TestResponse) -> list[Any]:
        [_names, *lines] = csv.reader(response.text.splitlines())
        rows = [[_cell(cell) for cell in line] for line in lines]
        return [row[0] for row in rows] if len(rows[0]) == 1 else rows


def _cell(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


class ArrowStream(CsvFile):
    """A stream of Arrow, answered by one."""

    name = "columnar, arrow"
    media_type = "application/vnd.apache.arrow.stream"

    def encode(self, wish: Wish) -> bytes:
        columns = list(zip(*wish.rows, strict=True))
        table = pyarrow.table({f"x{n}": column for n, column in enumerate(columns)})
        sink = io.BytesIO()
        with pyarrow.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return sink.getvalue()

    def decode(self, response: TestResponse) -> list[Any]:
        table = pyarrow.ipc.open_stream(response.data).read_all()
        columns = [column.to_pylist() for column in table.columns]
        return (
            columns[0] if len(columns) == 1 else [list(row) for row in zip(*columns, strict=True)]
        )


class NpyFile(CsvFile):
    """A matrix as numpy keeps one, answered by one."""

    name = "columnar, npy"
    media_type = "application/x-npy"

    def encode(self, wish: Wish) -> bytes:
        sink = io.BytesIO()
        np.save(sink, np.array(wish.rows))
        return sink.getvalue()

    def decode(self, response: TestResponse) -> list[Any]:
        rows: list[Any] = np.load(io.BytesIO(response.data)).tolist()
        return rows


def only_error(response: TestResponse) -> str:
    """The one member of a refusal by TF Serving and the Open Inference Protocol."""
    body = own_form(response, "application/json", {"error"})
    assert body.keys() == {"error"}
    return str(body["error"])


def shaped(flat: list[Any], shape: list[int]) -> list[Any]:
    """A flat list by rows."""
    rows: list[Any] = np.array(flat, dtype=object).reshape(shape).tolist()
    return rows


def texts(data: bytes) -> list[str]:
    """What BYTES elements hold."""
    found = []
    while data:
        [size] = struct.unpack_from("<I", data)
        found.append(data[4 : 4 + size].decode())
        data = data[4 + size :]
    return found


def basic(identifier: str, secret: str) -> str:
    """HTTP Basic credentials."""
    return "Basic " + base64.b64encode(f"{identifier}:{secret}".encode()).decode()


HTTP_DIALECTS = (
    Native,
    OpenInference,
    OpenInferenceBinary,
    TensorFlowRows,
    TensorFlowColumns,
    MlflowInstances,
    MlflowSplit,
)

COLUMNAR = (CsvFile, ArrowStream, NpyFile)
