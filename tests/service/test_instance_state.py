"""What an instance folder is, asked at every start."""

from __future__ import annotations

import subprocess
import sys

IMPORTS = """
import sys
import service.operations.instance_state
print(*sorted(sys.modules.keys() & {"sqlalchemy", "flask", "sklearn", "cryptography"}))
"""


def test_asking_does_not_wait_for_large_libraries() -> None:
    run = subprocess.run(
        [sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True
    )

    assert run.stdout.split() == []
