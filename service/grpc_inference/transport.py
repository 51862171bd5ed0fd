"""How gRPC listens: TLS with the server's certificate, and bounds on what a peer may take.

Every bound that matters is written out, also where it equals gRPC's default.
"""

from __future__ import annotations

from typing import Final

import grpc
import structlog

from certs.errors import CertificateError
from config.errors import SealBroken
from config.settings import Settings
from service.bootstrap import Platform
from service.operations import certificates

CONNECTIONS: Final = 4096
STREAMS: Final = 100  # at once on one connection
HEADER_BYTES: Final = 16 * 1024
HANDSHAKE_SECONDS: Final = 10
LOOKAHEAD_BYTES: Final = 64 * 1024  # kept of a message that nobody has begun to read
PING_SECONDS: Final = 20
PING_TIMEOUT_SECONDS: Final = 10
LEAST_PING_SECONDS: Final = 5  # between two of a client's pings while nothing is sent
PINGS_FORGIVEN: Final = 2
IDLE_SECONDS: Final = 1800

log = structlog.get_logger("sallyport.grpc")


def options(settings: Settings) -> tuple[tuple[str, int], ...]:
    """gRPC's options of the server."""
    return (
        ("grpc.so_reuseport", 1),  # see service.grpc_inference.listener
        ("grpc.max_receive_message_length", settings.max_body_bytes),  # decompressed as well
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", HEADER_BYTES),
        ("grpc.absolute_max_metadata_size", HEADER_BYTES),
        ("grpc.max_concurrent_streams", STREAMS),
        ("grpc.max_allowed_incoming_connections", CONNECTIONS),
        ("grpc.server_handshake_timeout_ms", HANDSHAKE_SECONDS * 1000),
        # Or whoever has a long line, or says so, would have us keep megabytes of each stream.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", LOOKAHEAD_BYTES),
        ("grpc.keepalive_time_ms", PING_SECONDS * 1000),
        ("grpc.keepalive_timeout_ms", PING_TIMEOUT_SECONDS * 1000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", LEAST_PING_SECONDS * 1000),
        ("grpc.http2.max_ping_strikes", PINGS_FORGIVEN),
        ("grpc.max_connection_idle_ms", IDLE_SECONDS * 1000),
    )


def credentials(platform: Platform) -> grpc.ServerCredentials:
    """TLS with the certificate in use at each handshake; clients need none.

    A renewed certificate is used from the next connection on. Raises CertificateError if there
    is none at first; later the one known is kept.
    """
    return _Certificate(platform).credentials()


class _Certificate:
    """Takes the certificate once for each file that `server.pem` points at (certs.installed)."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._file = platform.authority.server_file

    def credentials(self) -> grpc.ServerCredentials:
        first = self._configuration()
        made: grpc.ServerCredentials = grpc.dynamic_ssl_server_credentials(
            first, self._renewed, require_client_authentication=False
        )
        return made

    def _renewed(self) -> grpc.ServerCertificateConfiguration | None:
        """The configuration of a newer file, at each handshake; None keeps what is there."""
        try:
            file = self._platform.authority.server_file
            if file == self._file:
                return None
            configuration = self._configuration()
        except (CertificateError, SealBroken, OSError) as error:
            log.warning("the certificate in use is kept", reason=str(error))
            return None
        self._file = file
        return configuration

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        pem = certificates.for_grpc(self._platform)
        # BoringSSL takes of each text what it wants: the chain of one, the key of the other.
        return grpc.ssl_server_certificate_configuration([(pem, pem)], None)
