"""MLServer with its scikit-learn runtime: only its ports and workers are set."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path


def free_port() -> str:
    """A port for a listener that nobody asks."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


if __name__ == "__main__":
    os.environ |= {
        "MLSERVER_HOST": "127.0.0.1",
        "MLSERVER_HTTP_PORT": os.environ["BENCH_PORT"],
        "MLSERVER_GRPC_PORT": free_port(),
        "MLSERVER_METRICS_PORT": free_port(),
        "MLSERVER_PARALLEL_WORKERS": os.environ["BENCH_WORKERS"],
        "MLSERVER_DEBUG": "false",
    }
    program = str(Path(sys.executable).with_name("mlserver"))
    os.execv(program, [program, "start", str(Path(os.environ["BENCH_MODELS"]) / "mlserver")])
