"""Every dialect as a caller of its own: rows in, answers or its own words of refusal out."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from flask.testing import FlaskClient
from numpy.typing import NDArray
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
    """What a caller wants: rows of numbers, answered by a model, a version and a method.

    Or columns by name, of numbers and texts, None where a value is missing.
    """

    rows: Rows
    model: str = "linear"
    version: int | str | None = None
    method: str | None = None
    columns: Mapping[str, list[Any]] = field(default_factory=dict)

    @property
    def records(self) -> list[dict[str, Any]]:
        """The columns row by row."""
        return [
            dict(zip(self.columns, row, strict=True))
            for row in zip(*self.columns.values(), strict=True)
        ]


class Dialect(Protocol):
    """One way to ask for predictions."""

    name: str
    unknown_alias: int
    drops_columns: bool
    takes_texts: bool
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
    takes_texts = True
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
        rows = {"records": wish.records} if wish.columns else {"features": wish.rows}
        return json.dumps(rows | given).encode()

    def decode(self, response: TestResponse) -> list[Any]:
        return list(response.get_json()["prediction"])


class NativeOfModel(Native):
    """The same where the model is named in the address."""

    name = "native, of a model"

    def path(self, wish: Wish) -> str:
        return f"/models/{wish.model}/predict"

    def encode(self, wish: Wish) -> bytes:
        body = json.loads(super().encode(wish))
        del body["model"]
        return json.dumps(body).encode()


class OpenInference(HttpDialect):
    """The Open Inference Protocol in JSON, its tensors flat."""

    name = "open inference"

    def path(self, wish: Wish) -> str:
        version = "" if wish.version is None else f"/versions/{wish.version}"
        return f"/v2/models/{wish.model}{version}/infer"

    def encode(self, wish: Wish) -> bytes:
        tensors = [tensor | {"data": values.ravel().tolist()} for tensor, values in arrays(wish)]
        for tensor in tensors:
            tensor["data"] = [None if cell != cell else cell for cell in tensor["data"]]
        body: dict[str, Any] = {"id": "7", "inputs": tensors}
        if wish.method is not None:
            body["outputs"] = [{"name": wish.method}]
        return json.dumps(body).encode()

    def decode(self, response: TestResponse) -> list[Any]:
        body = response.get_json()
        assert body.get("id", "7") == "7"  # changed bytes may have lost it
        [output] = body["outputs"]
        return shaped(output["data"], output["shape"])

    def error(self, response: TestResponse) -> str:
        return only_error(response)


class OpenInferenceBinary(OpenInference):
    """The Open Inference Protocol with binary tensors both ways."""

    name = "open inference, binary"
    media_type = "application/octet-stream"

    def encode(self, wish: Wish) -> bytes:
        tensors, data = [], []
        for tensor, values in arrays(wish):
            data.append(packed(values))
            tensors.append(tensor | {"parameters": {"binary_data_size": len(data[-1])}})
        body: dict[str, Any] = {"id": "7", "inputs": tensors}
        body["parameters"] = {"binary_data_output": True}
        if wish.method is not None:
            body["outputs"] = [{"name": wish.method}]
        return json.dumps(body).encode() + b"".join(data)

    def headers(self, body: bytes) -> dict[str, str]:
        try:
            length = json.JSONDecoder().raw_decode(body.decode("latin-1"))[1]
        except (ValueError, RecursionError):
            length = len(body)
        return super().headers(body) | {"Inference-Header-Content-Length": str(length)}

    def decode(self, response: TestResponse) -> list[Any]:
        if "Inference-Header-Content-Length" not in response.headers:
            return super().decode(response)  # changed bytes may have asked for that
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
        return json.dumps({"instances": wish.records or wish.rows} | signature).encode()

    def decode(self, response: TestResponse) -> list[Any]:
        return list(response.get_json()["predictions"])

    def error(self, response: TestResponse) -> str:
        return only_error(response)


class TensorFlowColumns(TensorFlowRows):
    """TF Serving's REST API, by columns."""

    name = "tensorflow, columns"

    def encode(self, wish: Wish) -> bytes:
        signature = {} if wish.method is None else {"signature_name": wish.method}
        return json.dumps({"inputs": wish.columns or wish.rows} | signature).encode()

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
        return json.dumps({self.form: wish.columns or wish.rows} | params).encode()

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
        names, rows = by_name(wish)
        frame = {"columns": names, "data": rows}
        return json.dumps({"dataframe_split": frame} | params).encode()


def arrays(wish: Wish) -> list[tuple[dict[str, Any], NDArray[Any]]]:
    """The tensors of a wish: one of all rows, or one for each column."""
    if not wish.columns:
        matrix = np.array(wish.rows, dtype="<f8")
        return [({"name": "x", "datatype": "FP64", "shape": list(matrix.shape)}, matrix)]
    found = []
    for name, cells in wish.columns.items():
        is_text = any(isinstance(cell, str) for cell in cells)
        values = np.array(cells, dtype=object if is_text else "<f8")
        datatype = "BYTES" if is_text else "FP64"
        found.append(({"name": name, "datatype": datatype, "shape": [len(cells)]}, values))
    return found


def packed(values: NDArray[Any]) -> bytes:
    """A tensor in binary form."""
    if values.dtype != object:
        return values.tobytes()
    encoded = [text.encode() for text in values]
    return b"".join(struct.pack("<I", len(text)) + text for text in encoded)


def by_name(wish: Wish) -> tuple[list[str], list[list[Any]]]:
    """The names of the columns, and the rows in their order."""
    if wish.columns:
        return list(wish.columns), [list(record.values()) for record in wish.records]
    return [f"x{n}" for n in range(len(wish.rows[0]))], wish.rows


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
    NativeOfModel,
    OpenInference,
    OpenInferenceBinary,
    TensorFlowRows,
    TensorFlowColumns,
    MlflowInstances,
    MlflowSplit,
)
