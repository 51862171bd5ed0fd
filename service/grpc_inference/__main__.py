"""`python -m service.grpc_inference`: the gRPC program, as the supervisor starts it."""

from __future__ import annotations

import sys

from config.settings import load_settings
from service.grpc_inference.profile import choose_suites

if __name__ == "__main__":
    choose_suites(load_settings().tls_profile)
    from service.grpc_inference.program import main  # which imports gRPC

    main(sys.argv[1:])
