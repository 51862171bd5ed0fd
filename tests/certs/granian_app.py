"""The smallest application: what test_granian serves over TLS."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from granian import Granian
from granian.constants import Interfaces

StartResponse = Callable[[str, list[tuple[str, str]]], object]


def app(_environ: dict[str, object], start_response: StartResponse) -> Iterable[bytes]:
    """Answer hello."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def main() -> None:
    """Serve on the port with the file, and ask clients for certificates of the authority."""
    port, server_file, ca, crl = sys.argv[1:]
    Granian(
        "tests.certs.granian_app:app",
        address="127.0.0.1",
        port=int(port),
        interface=Interfaces.WSGI,
        ssl_cert=Path(server_file),
        ssl_key=Path(server_file),
        ssl_ca=Path(ca) if ca else None,
        ssl_crl=[Path(crl)] if crl else None,
        ssl_client_verify=bool(ca),
        blocking_threads=1,
    ).serve()


if __name__ == "__main__":
    main()
