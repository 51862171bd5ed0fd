"""What the web program sets on the listener that it is given."""

from __future__ import annotations

import socket

from service.workers import SILENT_SECONDS, tune


def test_connections_send_at_once_and_do_not_wait_for_ever_for_who_takes_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        tune(listener.fileno())
        with (
            socket.create_connection(listener.getsockname()),
            listener.accept()[0] as accepted,
        ):
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            silence = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)

    assert silence == SILENT_SECONDS * 1000
