"""One real TLS handshake over a loopback socket, and what came of it."""

from __future__ import annotations

import socket
import ssl
import threading
from dataclasses import dataclass

DEADLINE = 10.0


@dataclass
class Outcome:
    """What both ends saw; `refusal` is empty when the server's answer arrived."""

    version: str = ""
    cipher: str = ""
    client_der: bytes = b""
    reused: bool = False
    session: ssl.SSLSession | None = None
    refusal: str = ""


def shake_hands(
    server: ssl.SSLContext,
    client: ssl.SSLContext,
    *,
    name: str = "localhost",
    session: ssl.SSLSession | None = None,
) -> Outcome:
    """Connect, let the server answer one word, and say how it went."""
    outcome = Outcome()
    family = socket.AF_INET6 if ":" in name else socket.AF_INET
    address = "::1" if family == socket.AF_INET6 else "127.0.0.1"
    with socket.create_server((address, 0), family=family) as listener:
        listener.settimeout(DEADLINE)
        thread = threading.Thread(target=_answer, args=(listener, server, outcome))
        thread.start()
        try:
            _ask(listener.getsockname()[:2], client, name, session, outcome)
        finally:
            thread.join(DEADLINE)
    return outcome


def _answer(listener: socket.socket, context: ssl.SSLContext, outcome: Outcome) -> None:
    raw, _ = listener.accept()
    raw.settimeout(DEADLINE)
    try:
        with raw, context.wrap_socket(raw, server_side=True) as connection:
            outcome.client_der = connection.getpeercert(binary_form=True) or b""
            connection.sendall(b"hello")
            connection.recv(1)  # until the client is done
    except OSError:
        pass  # the client's end tells


def _ask(
    address: tuple[str, int],
    context: ssl.SSLContext,
    name: str,
    session: ssl.SSLSession | None,
    outcome: Outcome,
) -> None:
    try:
        with (
            socket.create_connection(address, DEADLINE) as raw,
            context.wrap_socket(raw, server_hostname=name, session=session) as connection,
        ):
            # In TLS 1.3 a refused client learns of it only when it reads.
            if connection.recv(5) != b"hello":
                outcome.refusal = "closed"
            cipher = connection.cipher()
            assert cipher
            outcome.cipher, outcome.version = cipher[0], connection.version() or ""
            outcome.reused = bool(connection.session_reused)
            outcome.session = connection.session
    except OSError as error:
        outcome.refusal = str(error)
