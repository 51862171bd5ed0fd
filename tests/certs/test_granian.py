"""The server that the product runs on takes these files as they are."""

from __future__ import annotations

import http.client
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from certs.authority import Authority
from certs.contexts import client_context
from tests.certs.conftest import Clock
from tests.certs.outside import Key, Leaf, Outside, key_pem, p256, pem, rsa_key

ROOT = Path(__file__).parents[2]
DEADLINE = 20.0


@contextmanager
def granian(server_file: Path, *, ca: Path | None = None, crl: Path | None = None) -> Iterator[int]:
    """A real server on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    arguments = [str(port), str(server_file), str(ca or ""), str(crl or "")]
    command = [sys.executable, "-m", "tests.certs.granian_app", *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            _wait(port, server)
            yield port
        finally:
            server.terminate()
            server.wait(DEADLINE)


def _wait(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    pytest.fail("granian did not start")


def get(port: int, context: ssl.SSLContext) -> bytes:
    connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=DEADLINE)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read()
    finally:
        connection.close()


@pytest.mark.parametrize("make_key", [p256, lambda: rsa_key(2048)], ids=["EC", "RSA"])
def test_it_serves_from_an_imported_file(
    authority: Authority, clock: Clock, tmp_path: Path, make_key: type[Key]
) -> None:
    outside, leaf = Outside(clock.now), Leaf(key=make_key())
    authority.import_pair(outside.fullchain(leaf), key_pem(leaf.key))
    root = tmp_path / "root.pem"
    root.write_bytes(pem(outside.root))
    with granian(authority.server_file) as port:
        assert get(port, client_context(root)) == b"hello"


def test_it_serves_from_a_local_file_and_tells_clients_apart(
    authority: Authority, tmp_path: Path
) -> None:
    kept, lost = (authority.issue_client(name) for name in ("rob", "billing.acme.example"))
    authority.revoke(lost.serial)
    pairs = [tmp_path / "kept.pem", tmp_path / "lost.pem"]
    for path, issued in zip(pairs, (kept, lost), strict=True):
        path.write_bytes(issued.certificate_pem + issued.key_pem)
    with granian(authority.server_file, ca=authority.ca_file, crl=authority.crl_file) as port:
        assert get(port, client_context(authority.ca_file, pair=pairs[0])) == b"hello"
        for pair in (None, pairs[1]):
            with pytest.raises(OSError):
                get(port, client_context(authority.ca_file, pair=pair))
