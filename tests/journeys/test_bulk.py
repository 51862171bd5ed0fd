"""Files of rows as they meet the real server: large, broken off, fetched slowly, over TLS."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import httpx
import numpy as np
import pytest

from certs.contexts import client_context
from config.settings import load_settings
from examples.client import Client, Refused
from service.bootstrap import assemble
from service.operations import tenants
from tests.journeys.platform import Running, running, until
from tests.journeys.served import free_port
from tests.journeys.spooled import spools, watched

MEBIBYTE: Final = 1024 * 1024
ROWS: Final = 1_000_000
PATH: Final = "/models/linear/predict"
MARK: Final = np.full(64, 1234.5678)
CURL: Final = pytest.mark.skipif(shutil.which("curl") is None, reason="curl speaks HTTP/2 here")


@pytest.fixture(scope="module")
def platform(demo_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A platform that has imported what it needs to answer in any form."""
    folder = tmp_path_factory.mktemp("bulk") / "instance"
    shutil.copytree(demo_template, folder, symlinks=True)
    with running(folder, CLIENT_CERTIFICATE_PORT=free_port(), FREE_DISK_BYTES=0) as served:
        until(lambda: len(served.workers()) == 2)
        yield served


@pytest.fixture(scope="module")
def client(platform: Running) -> Client:
    """The client of the documentation."""
    client = Client(platform.url, platform.instance / "certs" / "ca.pem")
    client.login(platform.credentials("ada"))
    assert client.predict({"features": [5, 10]})["prediction"] == [15.0]
    return client


def rows_file(folder: Path, rows: int = ROWS) -> tuple[Path, Any]:
    """A file of rows, some of which are easy to find again, and what is right for each."""
    values = np.arange(2.0 * rows).reshape(rows, 2) / 8
    values[: MARK.size] = MARK[:, None]
    path = folder / "rows.npy"
    np.save(path, values)
    return path, values @ [0.6, 1.2]


def test_a_million_rows_go_through_one_call_in_bounded_memory(
    platform: Running, client: Client, tmp_path: Path
) -> None:
    path, right = rows_file(tmp_path)
    seen: dict[str, int] = {}
    plain: list[Path] = []

    def progress(what: str, done: int, total: int) -> None:
        if what == "sent" and "spooled" not in seen and done > total / 2:
            until(lambda: spools(platform))
            mark = MARK.tobytes()
            plain.extend(spool for spool in spools(platform) if mark in spool.read_bytes())
            seen["spooled"] = len(spools(platform))
        seen[what] = done

    with watched(platform.workers()) as most:
        predicted = client.predict_file(
            path, tmp_path / "answers.npy", model="linear", progress=progress
        )

    answers = np.load(tmp_path / "answers.npy")
    assert predicted.version == 1
    assert np.allclose(answers, right)
    assert seen["spooled"] == 1
    assert plain == []
    assert seen["predicting"] == path.stat().st_size
    assert seen["fetched"] == predicted.size == (tmp_path / "answers.npy").stat().st_size
    assert most[0] < 64 * MEBIBYTE
    until(lambda: not spools(platform))


def test_a_row_that_does_not_fit_is_told_and_no_answer_is_left(
    client: Client, tmp_path: Path
) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("5,10\n" * 100_000 + "5,ten\n")
    with pytest.raises(Refused, match="/rows/100000/x1") as caught:
        client.predict_file(rows, tmp_path / "answers.csv", model="linear")
    assert caught.value.status == 400
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


def test_a_file_that_is_too_large_is_refused_while_it_is_sent(
    platform: Running, client: Client, tmp_path: Path
) -> None:
    rows = tmp_path / "rows.csv"
    with rows.open("wb") as file:
        file.truncate(load_settings(platform.instance).max_bulk_bytes + 1)
    with pytest.raises(Refused) as caught:
        client.predict_file(rows, tmp_path / "answers.csv", model="linear")
    assert caught.value.status == 413


def test_the_client_comes_back_when_it_is_told_to(
    platform: Running, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tenant's only place for a call is taken at first."""
    platform.manage("limits", "set", "--tenant", "acme", "--concurrent-requests", "1")
    operator = assemble(load_settings(platform.instance))
    key = (tenants.operator_scope(operator, "acme").tenant_id, "concurrent_requests")
    assert operator.counters.enter(key, 1, operator.holder)
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        operator.counters.leave(key, operator.holder)

    monkeypatch.setattr("examples.client.time", SimpleNamespace(sleep=sleep))
    rows, answers = tmp_path / "rows.csv", tmp_path / "answers.csv"
    rows.write_text("x0,x1\n5,10\n")
    try:
        client.predict_file(rows, answers, model="linear")
    finally:
        operator.close()
        platform.manage("limits", "set", "--tenant", "acme", "--concurrent-requests", "1024")
    assert waited == [1.0]
    assert answers.read_text() == "prediction\n15.0\n"


def connected(platform: Running) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", platform.port), timeout=20)
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    return platform.context.wrap_socket(plain, server_hostname="localhost")


def head(client: Client, size: int, content_type: str) -> bytes:
    lines = (
        f"POST {PATH} HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {client.token}",
        f"Content-Type: {content_type}",
        "Accept: text/csv",
        f"Content-Length: {size}",
    )
    return "\r\n".join([*lines, "", ""]).encode()


def test_whoever_breaks_off_leaves_nothing(platform: Running, client: Client) -> None:
    body = b"1.5,2.5\n" * ROWS
    for sent in (len(body) // 2, len(body)):
        with connected(platform) as connection:
            connection.sendall(head(client, len(body), "text/csv") + body[:sent])
            until(lambda: spools(platform))

        until(lambda: not spools(platform))
    assert client.predict({"features": [5, 10]})["prediction"] == [15.0]


def test_answers_wait_on_the_disk_for_whoever_fetches_slowly(
    platform: Running, client: Client, tmp_path: Path
) -> None:
    path, right = rows_file(tmp_path)
    body = path.read_bytes()
    with watched(platform.workers()) as most, connected(platform) as connection:
        connection.sendall(head(client, len(body), "application/x-npy") + body)
        received = bytearray(connection.recv(4096))
        assert received.startswith(b"HTTP/1.1 200")
        until(lambda: len(spools(platform)) == 1)  # the rows are given back, the answers are not
        while b"\r\n\r\n" not in received:
            received += connection.recv(4096)
        told, _, text = bytes(received).partition(b"\r\n\r\n")
        found = re.search(rb"content-length: (\d+)", told, re.IGNORECASE)
        assert found
        size = int(found[1])
        while len(text) < size:
            text += connection.recv(MEBIBYTE)
    assert np.allclose([float(line) for line in text.split()[1:]], right)
    assert most[0] < 64 * MEBIBYTE
    until(lambda: not spools(platform))


@CURL
@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_common_client_sends_and_fetches_over_either_protocol(
    platform: Running, client: Client, tmp_path: Path, version: str
) -> None:
    path, right = rows_file(tmp_path, rows=200_000)
    answers = tmp_path / "answers.npy"
    done = subprocess.run(
        ["curl", "-sS", version, "--cacert", str(platform.instance / "certs" / "ca.pem"),
         "-H", f"Authorization: Bearer {client.token}", "-H", "Content-Type: application/x-npy",
         "--data-binary", f"@{path}", "-o", str(answers), "-w", "%{http_code} %{http_version}",
         platform.url + PATH],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"200 {'2' if version == '--http2' else '1.1'}"
    assert np.allclose(np.load(answers), right)


@CURL
def test_a_stream_that_is_broken_off_over_http2_leaves_nothing(
    platform: Running, client: Client, tmp_path: Path
) -> None:
    path, _ = rows_file(tmp_path)
    process = subprocess.Popen(
        ["curl", "-sS", "--http2", "--cacert", str(platform.instance / "certs" / "ca.pem"),
         "-H", f"Authorization: Bearer {client.token}", "-H", "Content-Type: application/x-npy",
         "-H", "Accept: text/csv", "--limit-rate", "1M", "--data-binary", f"@{path}",
         "-o", "/dev/null", platform.url + PATH],
    )  # fmt: skip
    until(lambda: spools(platform))
    process.kill()
    process.wait()
    until(lambda: not spools(platform))


def test_client_with_a_certificate_sends_and_fetches_as_well(
    platform: Running, tmp_path: Path
) -> None:
    platform.manage("certs", "client", "robot", "--out", str(tmp_path))
    pair = tmp_path / "pair.pem"
    pair.write_bytes((tmp_path / "robot.pem").read_bytes() + (tmp_path / "robot.key").read_bytes())
    platform.manage(
        "clients", "create", "robot", "--tenant", "acme", "--scope", "predict:linear",
        "--certificate", str(tmp_path / "robot.pem"),
    )  # fmt: skip
    context = client_context(platform.instance / "certs" / "ca.pem", pair=pair)
    port = int(platform.environment["SALLYPORT_CLIENT_CERTIFICATE_PORT"])
    path, right = rows_file(tmp_path, rows=200_000)
    with httpx.Client(base_url=f"https://localhost:{port}", verify=context, timeout=60) as robot:
        headers = {"Content-Type": "application/x-npy"}
        answers = tmp_path / "answers.npy"
        answers.write_bytes(robot.post(PATH, content=path.read_bytes(), headers=headers).content)
        foreign = robot.post("/models/other/predict", content=b"1,2\n", headers=headers)
        with robot.stream("POST", PATH, content=path.read_bytes(), headers=headers) as broken_off:
            assert broken_off.status_code == 200
    assert np.allclose(np.load(answers), right)
    assert foreign.status_code == 403
    until(lambda: not spools(platform))
