"""`python -m service.grpc_inference`: the gRPC program, as the supervisor starts it."""

from __future__ import annotations

import sys

from service.grpc_inference.program import main

if __name__ == "__main__":
    main(sys.argv[1:])
