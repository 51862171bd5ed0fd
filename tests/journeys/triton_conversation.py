"""What Triton's own HTTP client says to a platform, in a process of its own (gevent is in it).

Reads where the platform is from the standard input as JSON, and writes what came of each part.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.http.auth import BasicAuth
from tritonclient.utils import InferenceServerException

ROWS: Final = np.array([[5.0, 10.0], [1.0, 2.0]])
MANY: Final = np.tile(ROWS, (200, 1))
WORDS: Final = np.array(["café", "no"], dtype=object)
CODINGS: Final = ("gzip", "deflate")
COMPRESSION: Final = [
    {"request_compression_algorithm": sent, "response_compression_algorithm": received}
    for sent, received in zip((None, *CODINGS), (*CODINGS, None), strict=True)
]


class Bearer(triton.InferenceServerClientPlugin):  # type: ignore[misc]
    """Sends a token with every request."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: Any) -> None:
        request.headers["authorization"] = f"Bearer {self._token}"


@dataclass(frozen=True, slots=True)
class Place:
    """A platform, its authority, tokens by user, the listener for certificates, an account."""

    address: str
    ca: str
    tokens: dict[str, str]
    mutual: str
    pair: str
    robot: tuple[str, str]

    def context(self, pair: str | None = None) -> ssl.SSLContext:
        """TLS as Python makes it by default, with one authority."""
        context = ssl.create_default_context(cafile=self.ca)
        if pair:
            context.load_cert_chain(pair)
        return context

    def client(self, username: str | None) -> Any:
        """The synchronous client, with a user's token."""
        client = triton.InferenceServerClient(
            self.address, ssl=True, ssl_context_factory=self.context
        )
        if username:
            client.register_plugin(Bearer(self.tokens[username]))
        return client

    def certified(self) -> Any:
        """The synchronous client with a client certificate instead."""
        factory = partial(self.context, self.pair)
        return triton.InferenceServerClient(self.mutual, ssl=True, ssl_context_factory=factory)


def rows(given: Any = ROWS, *, binary: bool = True) -> list[Any]:
    tensor = triton.InferInput("input", list(given.shape), "FP64")
    return [tensor.set_data_from_numpy(given, binary_data=binary)]


def words(*, binary: bool = True) -> list[Any]:
    text = triton.InferInput("x0", [2], "BYTES")
    number = triton.InferInput("x1", [2], "FP64")
    text.set_data_from_numpy(WORDS, binary_data=binary)
    return [text, number.set_data_from_numpy(ROWS[:, 1], binary_data=not binary)]


def wanted(*names: str, binary: bool = True) -> list[Any]:
    return [triton.InferRequestedOutput(name, binary_data=binary) for name in names]


def answers(result: Any) -> dict[str, Any]:
    """What came, as JSON has it."""
    response = result.get_response()
    arrays = {each["name"]: result.as_numpy(each["name"]) for each in response["outputs"]}
    plain = {
        name: [cell.decode() if isinstance(cell, bytes) else cell for cell in array.tolist()]
        for name, array in arrays.items()
    }
    named = {key: response.get(key) for key in ("id", "model_name", "model_version")}
    return named | {"outputs": plain}


def failure(call: Callable[[], Any]) -> list[str | None]:
    """With which status and words a call fails."""
    try:
        call()
    except InferenceServerException as error:
        return [error.status(), error.message()]
    return [None, "it did not fail"]


def descriptions(place: Place) -> dict[str, Any]:
    with place.client("rob") as client:
        return {
            "live": client.is_server_live(),
            "ready": client.is_server_ready(),
            "server": client.get_server_metadata(),
            "model_ready": client.is_model_ready("linear"),
            "version_ready": client.is_model_ready("linear", "1"),
            "absent_ready": client.is_model_ready("none"),
            "metadata": client.get_model_metadata("texts"),
            "config": client.get_model_config("linear", "1"),
            "index": client.get_model_repository_index(),
        }


def predictions(place: Place) -> dict[str, Any]:
    with place.client("rob") as client:
        asked = client.async_infer("linear", rows())
        return {
            "binary": answers(client.infer("linear", rows(), request_id="a7", model_version="1")),
            "json": answers(
                client.infer("linear", rows(binary=False), outputs=wanted("predict", binary=False))
            ),
            "alias": answers(client.infer("linear", rows(), model_version="champion")),
            "several": answers(
                client.infer("texts", words(), outputs=wanted("predict_proba", "predict"))
            ),
            "texts": answers(client.infer("texts", words())),
            "texts in json": answers(
                client.infer("texts", words(binary=False), outputs=wanted("predict", binary=False))
            ),
            "compressed": [
                answers(client.infer("linear", rows(MANY, binary=binary), **compression))
                for compression in COMPRESSION
                for binary in (True, False)
            ],
            "parameters": answers(
                client.infer("linear", rows(), priority=1, timeout=5, parameters={"mine": 1})
            ),
            "async": answers(asked.get_result()),
            "counted": client.get_inference_statistics("linear", "1"),
            "every": client.get_inference_statistics(),
        }


def graphs(place: Place) -> dict[str, Any]:
    """Triton's first example: two tensors of integers, one in JSON and one binary, and back."""
    first = triton.InferInput("INPUT0", [1, 16], "INT32")
    first.set_data_from_numpy(np.arange(16, dtype=np.int32).reshape(1, 16), binary_data=False)
    second = triton.InferInput("INPUT1", [1, 16], "INT32")
    second.set_data_from_numpy(np.full((1, 16), 2, np.int32), binary_data=True)
    both = [*wanted("OUTPUT0"), *wanted("OUTPUT1", binary=False)]
    with place.client("rob") as client:
        return {
            "metadata": client.get_model_metadata("simple"),
            "wanted": answers(client.infer("simple", [first, second], outputs=both)),
            "unnamed": answers(client.infer("simple", [first, second])),
            "counted": client.get_inference_statistics("simple"),
            "missing": failure(partial(client.infer, "simple", [first])),
        }


def refusals(place: Place) -> dict[str, Any]:
    with place.client(None) as nobody, place.client("rob") as rob:
        return {
            "nobody": failure(partial(nobody.infer, "linear", rows())),
            "public": nobody.is_server_ready(),
            "absent": failure(partial(rob.infer, "none", rows())),
            "version": failure(partial(rob.infer, "linear", rows(), model_version="9")),
            "output": failure(partial(rob.infer, "linear", rows(), outputs=wanted("other"))),
            "tensor": failure(partial(rob.infer, "linear", words())),
            "unload": failure(partial(rob.unload_model, "linear")),
            "sequence": failure(partial(rob.infer, "linear", rows(), sequence_id=7)),
        }


def repository(place: Place) -> dict[str, Any]:
    with place.client("ben") as ben:
        found: dict[str, Any] = {}
        ben.unload_model("linear", unload_dependents=True)
        found["ready"] = ben.is_model_ready("linear")
        found["index"] = ben.get_model_repository_index()
        found["refused"] = failure(partial(ben.infer, "linear", rows()))
        found["config"] = failure(partial(ben.load_model, "linear", config="{}"))
        files = {"file:1/model.onnx": b"x"}
        found["files"] = failure(partial(ben.load_model, "linear", config="{}", files=files))
        ben.load_model("linear")
        found["again"] = ben.is_model_ready("linear")
        found["answer"] = answers(ben.infer("linear", rows()))
        return found


def certificates(place: Place) -> dict[str, Any]:
    with place.certified() as client:
        return {
            "answer": answers(client.infer("linear", rows())),
            "unknown": failure(partial(client.infer, "wrong_model_name", rows())),
        }


def basic(place: Place) -> dict[str, Any]:
    with place.client(None) as client:
        client.register_plugin(BasicAuth(*place.robot))
        return {
            "ready": client.is_model_ready("linear"),
            "answer": answers(client.infer("linear", rows())),
            "unload": failure(partial(client.unload_model, "linear")),
        }


async def asynchronous(place: Place) -> dict[str, Any]:
    options = {"ssl": True, "ssl_context": place.context()}
    async with triton_aio.InferenceServerClient(place.address, **options) as client:
        client.register_plugin(Bearer(place.tokens["rob"]))
        calls = [client.infer("linear", rows(), **compression) for compression in COMPRESSION]
        plain = client.infer("linear", rows(binary=False), outputs=wanted("predict", binary=False))
        try:
            await client.infer("none", rows())
        except InferenceServerException as error:
            refused = [error.status(), error.message()]
        return {
            "ready": await client.is_model_ready("linear"),
            "metadata": await client.get_model_metadata("linear"),
            "answers": [answers(found) for found in await asyncio.gather(*calls, plain)],
            "counted": await client.get_inference_statistics("linear"),
            "refused": refused,
        }


def main() -> None:
    place = Place(**json.load(sys.stdin))
    parts = (descriptions, predictions, graphs, refusals, repository, certificates, basic)
    told: dict[str, Any] = {part.__name__: part(place) for part in parts}
    told["asynchronous"] = asyncio.run(asynchronous(place))
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
