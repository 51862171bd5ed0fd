"""The same server without any gate: it parses JSON and asks the compiled engine, and that is all.

What Sallyport answers in a second is divided by what this answers: what the gates leave. It serves
TLS 1.3 by granian, with one thread, which answers more requests than an event loop would.
"""

from __future__ import annotations

import datetime
import ipaddress
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from benchmarks.comparison.dialects import features_in_json
from benchmarks.comparison.loads import BARE, Load, estimator, expected
from benchmarks.comparison.servers import (
    Server,
    environment,
    first_answer,
    free_port,
    process_of,
)
from models.arrays import pack_arrays, unpack_arrays
from models.compilation import Unsuitable
from models.engines import FOR_WORKERS

MODEL: Final = "linear"
HEADERS: Final = [("Content-Type", "application/json")]
LOOPBACK: Final = "127.0.0.1"
SCOPE: Final = datetime.timedelta(days=1)

Begin = Callable[[str, list[tuple[str, str]]], object]


def application() -> Callable[[dict[str, Any], Begin], Iterable[bytes]]:
    """A WSGI application that predicts."""
    arrays = FOR_WORKERS["linear"].compile(estimator(MODEL))
    assert not isinstance(arrays, Unsuitable), arrays.reason
    predictor = FOR_WORKERS["linear"].load(unpack_arrays(pack_arrays(arrays)))

    def answer(environ: dict[str, Any], begin: Begin) -> Iterable[bytes]:
        rows = np.asarray(orjson.loads(environ["wsgi.input"].read())["features"], np.float64)
        found = {"prediction": predictor.answer("predict", rows)}
        body = orjson.dumps(found, option=orjson.OPT_SERIALIZE_NUMPY)
        begin("200 OK", [*HEADERS, ("Content-Length", str(len(body)))])
        return [body]

    return answer


@contextmanager
def serving(first: Load, *, folder: Path, workers: int) -> Iterator[Server]:
    """Serve until the end of the block, on a free port over TLS."""
    certificate, key = _pair(folder)
    port, log = free_port(), folder / "bare.log"
    words = [str(Path(sys.executable).with_name("granian")), "--interface", "wsgi", "--factory"]
    words += ["--host", LOOPBACK, "--port", str(port), "--workers", str(workers)]
    words += ["--blocking-threads", "1", "--no-access-log", "--log-level", "warning"]
    words += ["--ssl-certificate", str(certificate), "--ssl-keyfile", str(key)]
    expected(first)
    began = time.perf_counter()
    with process_of(
        [*words, "benchmarks.comparison.bare:application"], environment(), log
    ) as process:
        url = f"https://{LOOPBACK}:{port}"
        server = Server(BARE, process, url, features_in_json, certificate)
        first_answer(server, first, log)
        yield replace(server, cold_seconds=time.perf_counter() - began)


def _pair(folder: Path) -> tuple[Path, Path]:
    """A certificate that signs itself, with an elliptic key as Sallyport's has."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, BARE)])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(LOOPBACK))])
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - SCOPE)
        .not_valid_after(now + SCOPE)
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / "bare.pem", folder / "bare.key"
    pem, no_password = serialization.Encoding.PEM, serialization.NoEncryption()
    files[0].write_bytes(signed.public_bytes(pem))
    files[1].write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, no_password))
    return files
