"""The TLS profile of a library that has no option for it."""

from __future__ import annotations

import os
from typing import Final

from certs.contexts import SUITES, Profile

VARIABLE: Final = "GRPC_SSL_CIPHER_SUITES"  # of TLS 1.2 alone
# The one suite that no server without pre-shared keys agrees on: gRPC has no option for the least
# version, and TLS 1.2 without a common suite ends in its handshake.
NO_SUITE: Final = "ECDHE-PSK-CHACHA20-POLY1305"


def choose_suites(profile: Profile) -> None:
    """Set the suites of a profile; to be called before gRPC is imported, which reads them then."""
    os.environ[VARIABLE] = NO_SUITE if profile == "modern" else ":".join(SUITES)
