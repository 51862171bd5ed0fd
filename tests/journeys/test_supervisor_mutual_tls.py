"""The listener that demands a client certificate."""

from __future__ import annotations

import signal
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.journeys.served import Served, authority, free_port, prepare, serving, until


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    instance = prepare(tmp_path_factory.mktemp("mutual") / "instance")
    chosen = {"CLIENT_CERTIFICATE_PORT": free_port(), "MAX_BODY_BYTES": 1024}
    with serving(instance, **chosen) as running:
        yield running


@pytest.fixture
def port(served: Served) -> int:
    return served.ports["mutual-tls"]


def client_pair(served: Served, folder: Path, name: str = "robot") -> tuple[Path, str, bytes]:
    """Issue a client certificate: its PEM with key, its serial, its DER bytes."""
    issued = authority(served.instance).issue_client(name)
    pair = folder / f"{name}.pem"
    pair.write_bytes(issued.certificate_pem + issued.key_pem)
    certificate = x509.load_pem_x509_certificate(issued.certificate_pem)
    return pair, issued.serial, certificate.public_bytes(Encoding.DER)


def test_the_client_certificate_reaches_the_application(
    served: Served, port: int, tmp_path: Path
) -> None:
    pair, _serial, der = client_pair(served, tmp_path)
    forged = {"Sallyport-Client-Certificate": "00", "sallyport.client_certificate": "00"}

    answer = served.ask("/a%20b?x=1", port=port, pair=pair, body=b"hello", headers=forged)

    assert bytes.fromhex(answer["certificate"]) == der
    assert answer["bytes"] == 5
    assert answer["environ"]["PATH_INFO"] == "/a b"
    assert answer["environ"]["HTTP_HOST"] == f"127.0.0.1:{port}"


def test_a_client_without_certificate_is_refused(served: Served, port: int) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        served.exchange(port=port)


def test_a_body_over_the_bound_is_refused(served: Served, port: int, tmp_path: Path) -> None:
    pair, _serial, _der = client_pair(served, tmp_path)

    assert served.exchange(port=port, pair=pair, headers={"Content-Length": "1025"})[0] == 413
    chunks = iter([b"x" * 600] * 2)
    assert served.exchange(port=port, pair=pair, body=chunks, encode_chunked=True)[0] == 413


def test_a_revoked_certificate_is_refused_after_a_reload(
    served: Served, port: int, tmp_path: Path
) -> None:
    kept, _serial, _der = client_pair(served, tmp_path, "kept")
    lost, serial, _der = client_pair(served, tmp_path, "lost")
    assert served.exchange(port=port, pair=lost)[0] == 200

    authority(served.instance).revoke(serial)
    served.process.send_signal(signal.SIGHUP)

    until(lambda: _refused(served, port, lost))
    assert served.exchange(port=port, pair=kept)[0] == 200


def _refused(served: Served, port: int, pair: Path) -> bool:
    try:
        served.exchange(port=port, pair=pair)
    except (ssl.SSLError, ConnectionError):
        return True
    return False
