"""Canaries: a file, sockets and processes by which one sees that code of a stranger has run."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

DETACHED = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)


@dataclass(frozen=True)
class Canaries:
    """Things that anybody on this machine can reach, and nobody within the sandbox."""

    folder: Path
    network: socket.socket
    abstract: socket.socket
    marker: str  # a word in the command line of every process that an attack starts

    @property
    def file(self) -> Path:
        """The file that attacks write."""
        return self.folder / "canary"

    @property
    def secret(self) -> Path:
        """A file that attacks would like to read."""
        return self.folder / "secret"

    @property
    def acts(self) -> dict[str, str]:
        """What attacks do to wake each canary, in Python."""
        port, name = self.network.getsockname()[1], self.abstract.getsockname()
        sleeping = [sys.executable, "-c", "import time; time.sleep(300)", self.marker]
        return {
            "file": f"open({str(self.file)!r}, 'w').write('ran')",
            "network": f"__import__('socket').create_connection(('127.0.0.1', {port}))",
            "abstract": f"import socket; socket.socket(socket.AF_UNIX).connect({name!r})",
            "process": f"__import__('subprocess').Popen({sleeping!r}, **{DETACHED!r})",
            "program": f"__import__('os').execvp('sh', ['sh', '-c', 'echo ran > {self.file}'])",
            "shell": f"__import__('os').system('echo ran > {self.file}')",
        }

    def awake(self) -> set[str]:
        """Which of them an attack has woken."""
        heard = {"file"} if self.file.exists() else set()
        for name, listener in (("network", self.network), ("abstract", self.abstract)):
            with suppress(BlockingIOError):
                listener.accept()[0].close()
                heard.add(name)
        return heard | ({"process"} if self.processes() else set())

    def processes(self) -> list[int]:
        """Processes that carry the marker."""
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and self.marker in (entry / "cmdline").read_text():
                    found.append(int(entry.name))
        return found

    def silence(self) -> None:
        """Put them back to sleep."""
        self.file.unlink(missing_ok=True)
        for process in self.processes():
            os.kill(process, signal.SIGKILL)


@contextmanager
def canaries() -> Iterator[Canaries]:
    """Canaries in a folder where anybody may write, so that only the sandbox protects them."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    with socket.create_server(("127.0.0.1", 0)) as network, socket.socket(socket.AF_UNIX) as named:
        named.bind("")
        named.listen()
        network.setblocking(False)
        named.setblocking(False)
        marker = f"canary-{secrets.token_hex(8)}"
        found = Canaries(folder, network, named, marker)
        found.secret.write_text("a secret of the machine")
        try:
            yield found
        finally:
            found.silence()
            shutil.rmtree(folder)
