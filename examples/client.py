#!/usr/bin/env python3
"""Log in and predict with nothing but Python's standard library.

TOKEN=$(python examples/client.py --ca instance/certs/ca.pem login '{"tenant": ...}')
python examples/client.py --ca instance/certs/ca.pem --token "$TOKEN" predict '{"features": ...}'
python examples/client.py --ca instance/certs/ca.pem --token "$TOKEN" \
    predict-file rows.parquet --model linear --output answers.parquet
"""

from __future__ import annotations

import argparse
import json
import os
import select
import ssl
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any, BinaryIO, Final, TextIO, TypeVar
from urllib.parse import quote, urlencode, urlsplit

PIECE_BYTES: Final = 256 * 1024
SECONDS: Final = 30.0
FILE_SECONDS: Final = 3600.0  # nothing comes back before the last row is answered
ATTEMPTS: Final = 5
LONGEST_WAIT: Final = 120.0
BAR: Final = 30
OK: Final = 200
CONTINUE: Final = b"HTTP/1.1 100"
LEAVE_SECONDS: Final = 5.0
LATER: Final = (429, 503)
MEDIA_TYPES: Final = {
    ".csv": "text/csv",
    ".arrows": "application/vnd.apache.arrow.stream",
    ".arrow": "application/vnd.apache.arrow.file",
    ".feather": "application/vnd.apache.arrow.file",
    ".parquet": "application/vnd.apache.parquet",
    ".npy": "application/x-npy",
    ".json": "application/json",
}

Answer = TypeVar("Answer")
Progress = Callable[[str, int, int], None]


class Refused(Exception):
    """Raised when the platform refuses a call: its status, its reason, and when to come back."""

    def __init__(self, status: int, body: bytes, retry_after: str | None) -> None:
        self.status = status
        self.retry_after = float(retry_after or 0)
        super().__init__(body.decode(errors="replace"))


class CutOff(Exception):
    """Raised when an answer ends before it is whole."""


@dataclass(frozen=True)
class Predicted:
    """What became of a file: the version that answered it, and the size of its answers."""

    version: int
    size: int


class Client:
    """A caller of one platform; `ca` is the file with the platform's certificate authority."""

    def __init__(self, url: str, ca: str | Path, token: str | None = None) -> None:
        self.token = token
        self._address = urlsplit(url)
        self._context = ssl.create_default_context(cafile=str(ca))

    def login(self, credentials: Mapping[str, str]) -> str:
        """Log in with tenant, username and password, and keep the token; raises Refused."""
        answer = self.call("/auth/login", credentials)
        self.token = str(answer["access_token"])
        return self.token

    def predict(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Predict some rows; raises Refused."""
        return self.call("/predict", body)

    def call(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """POST a JSON body and return the answer's members; raises Refused."""
        data = json.dumps(body).encode()

        def ask(connection: HTTPSConnection) -> dict[str, Any]:
            headers = self._headers("application/json")
            connection.request("POST", path, data, headers)
            answer: dict[str, Any] = json.loads(_accepted(connection.getresponse()).read())
            return answer

        return self._patiently(ask, SECONDS)

    def predict_file(
        self,
        rows: Path,
        answers: Path,
        *,
        model: str,
        version: str | None = None,
        method: str | None = None,
        progress: Progress = lambda _what, _done, _total: None,
    ) -> Predicted:
        """Predict every row of a file and write the answers beside; forms go by the file names.

        Neither file is ever in memory as a whole. Raises Refused or CutOff, and leaves nothing of
        answers that are not whole.
        """
        asked = {"version": version, "method": method}
        query = urlencode({name: value for name, value in asked.items() if value is not None})
        path = f"/models/{quote(model, safe='')}/predict" + (f"?{query}" if query else "")
        headers = self._headers(media_type(rows)) | {"Accept": media_type(answers)}

        def ask(connection: HTTPSConnection) -> Predicted:
            with rows.open("rb") as file:
                response = _accepted(_send(connection, path, headers, file, progress))
            fetched = _fetch(response, answers, progress)
            return Predicted(int(response.headers["X-Model-Version"]), fetched)

        return self._patiently(ask, FILE_SECONDS)

    def _headers(self, content_type: str) -> dict[str, str]:
        headers = {"Content-Type": content_type}
        return headers | ({"Authorization": f"Bearer {self.token}"} if self.token else {})

    def _patiently(self, ask: Callable[[HTTPSConnection], Answer], seconds: float) -> Answer:
        """Ask over a connection of its own; later again, when the platform says how much later."""
        for attempt in range(1, ATTEMPTS + 1):
            connection = HTTPSConnection(
                self._address.hostname or "localhost",
                self._address.port,
                timeout=seconds,
                context=self._context,
                blocksize=PIECE_BYTES,
            )
            try:
                return ask(connection)
            except Refused as refused:
                if attempt == ATTEMPTS or refused.status not in LATER or not refused.retry_after:
                    raise
                time.sleep(min(refused.retry_after, LONGEST_WAIT))
            finally:
                connection.close()
        raise AssertionError("the last attempt returns or raises")


class Bar:
    """A progress bar on a terminal; in a file or a pipe it says nothing."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self._stream = stream
        self._shown = ""

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show how much of what is done."""
        share = done / total if total else 1.0
        filled = "#" * round(BAR * share)
        self._show(f"\r{what:<10}[{filled:<{BAR}}] {share:4.0%}")

    def clear(self) -> None:
        """Leave the line to what is printed next."""
        if self._shown:
            self._show("\r" + " " * len(self._shown) + "\r")

    def _show(self, text: str) -> None:
        if text != self._shown and self._stream.isatty():
            self._shown = text
            self._stream.write(text)
            self._stream.flush()


def media_type(path: Path) -> str:
    """The media type that a file's name stands for; raises ValueError."""
    found = MEDIA_TYPES.get(path.suffix.lower())
    if found is None:
        raise ValueError(f"{path}: a name ends in one of {', '.join(MEDIA_TYPES)}")
    return found


def _send(
    connection: HTTPSConnection,
    path: str,
    headers: Mapping[str, str],
    file: BinaryIO,
    progress: Progress,
) -> HTTPResponse:
    """Send a file, unless the platform refuses it when it has read the head (RFC 9110, 10.1.1)."""
    size, sent = os.fstat(file.fileno()).st_size, 0
    connection.putrequest("POST", path)
    expecting = {"Content-Length": str(size), "Expect": "100-continue"}
    for name, value in {**headers, **expecting}.items():
        connection.putheader(name, value)
    connection.endheaders()
    response = HTTPResponse(connection.sock, method="POST")
    if _may_send(connection.sock, response):
        with suppress(OSError):  # a refusal on the way is read below
            while data := file.read(PIECE_BYTES):
                connection.send(data)
                sent += len(data)
                progress("sent" if sent < size else "predicting", sent, size)
    response.begin()
    return response


def _may_send(sock: Any, response: HTTPResponse) -> bool:
    """Whether the platform waits for the body, or says nothing in time, as a proxy may."""
    if not select.select([sock], [], [], LEAVE_SECONDS)[0]:
        return True
    return bool(response.fp.peek(len(CONTINUE)).startswith(CONTINUE))


def _accepted(response: HTTPResponse) -> HTTPResponse:
    if response.status != OK:
        raise Refused(response.status, response.read(), response.headers.get("Retry-After"))
    return response


def _fetch(response: HTTPResponse, path: Path, progress: Progress) -> int:
    """Write an answer beside its place, and move it there when it is whole."""
    expected, fetched = int(response.headers["Content-Length"]), 0
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            while data := response.read(PIECE_BYTES):
                file.write(data)
                fetched += len(data)
                progress("fetched", fetched, expected)
        if fetched != expected:
            raise CutOff(f"the answers ended after {fetched} of {expected} bytes")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return fetched


def main() -> None:
    """Run one call and print what it answered."""
    given = _parse()
    client = Client(given.url, given.ca, given.token)
    try:
        if given.what == "login":
            said = client.login(json.loads(given.body))
        elif given.what == "predict":
            said = json.dumps(client.predict(json.loads(given.body)))
        else:
            said = json.dumps(_predict_file(client, given))
    except Refused as refused:
        sys.exit(str(refused))
    except (OSError, ValueError, CutOff) as error:
        sys.exit(f"Error: {error}")
    sys.stdout.write(f"{said}\n")


def _predict_file(client: Client, given: argparse.Namespace) -> dict[str, Any]:
    rows: Path = given.file
    answers: Path = given.output or rows.with_suffix(f".answers{rows.suffix}")
    bar = Bar()
    try:
        predicted = client.predict_file(
            rows,
            answers,
            model=given.model,
            version=given.version,
            method=given.method,
            progress=bar,
        )
    finally:
        bar.clear()
    return {"answers": str(answers), "bytes": predicted.size, "version": predicted.version}


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--url", default="https://localhost:8443")
    parser.add_argument("--ca", required=True, help="the platform's CA file")
    parser.add_argument("--token", help="an access token")
    calls = parser.add_subparsers(dest="what", required=True)
    for name, told in (("login", "print an access token"), ("predict", "predict some rows")):
        calls.add_parser(name, help=told).add_argument("body", help="the request as JSON")
    file = calls.add_parser("predict-file", help="predict every row of a file")
    file.add_argument("file", type=Path, help=f"rows: {', '.join(MEDIA_TYPES)}")
    file.add_argument("--model", required=True)
    file.add_argument("--output", type=Path, help="the answers; by default beside the rows")
    file.add_argument("--version", help="a version's number or alias")
    file.add_argument("--method", help="predict, predict_proba, ...")
    return parser.parse_args()


if __name__ == "__main__":
    main()
