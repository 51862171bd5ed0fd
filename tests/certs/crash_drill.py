"""Run by test_durability: kills a writer before each of its steps on the disk, or fills the disk.

    python crash_drill.py kill|full OPERATION FOLDER

A child does the operation; the parent then looks at the folder as the next process would.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography import x509

from certs.authority import Authority
from certs.contexts import server_context
from certs.errors import CertificateError, CertificateMissing
from config.sealing import Sealer

NAMES = ("localhost", "127.0.0.1")
OLD, NEW = bytes(32), bytes(range(32))
KEPT, LOST = "aa", "bb"
STEPS = {"open", "os.rename", "os.symlink", "os.remove", "os.mkdir", "os.chmod", "os.truncate"}
MOST_STEPS = 60

OPERATIONS: dict[str, Callable[[Authority], object]] = {
    "ensure": lambda authority: authority.ensure(),
    "renew": lambda authority: authority.renew(force=True),
    "revoke": lambda authority: authority.revoke(LOST),
    "reseal": lambda authority: authority.reseal(),
    "widen": lambda authority: authority.renew(),
}


def open_authority(folder: Path, *, wide: bool = False) -> Authority:
    """The folder as any process opens it; `wide` has one more name to certify."""
    names = (*NAMES, "sallyport.example") if wide else NAMES
    return Authority(folder, sealer=Sealer((NEW, OLD)), names=names)


def prepare(folder: Path, operation: str) -> None:
    """An authority that has been used for a while, or nothing yet."""
    shutil.rmtree(folder, ignore_errors=True)
    if operation != "ensure":
        authority = Authority(folder, sealer=Sealer((OLD,)), names=NAMES)
        authority.ensure()
        authority.revoke(KEPT)


def die_before_step(folder: Path, step: int) -> None:
    """SIGKILL this process just before its step on the folder with this number."""
    left = step

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event in STEPS and any(str(folder) in str(argument) for argument in arguments):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def in_child(work: Callable[[], None]) -> int:
    """Do the work in a process of its own; return how it ended."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except CertificateError as error:
            os.write(2, f"{error}\n".encode())
            os._exit(3)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def check_before_repair(folder: Path, operation: str) -> None:
    """Whatever happened, who serves now serves."""
    try:
        path = open_authority(folder).server_file
    except CertificateMissing:
        assert operation == "ensure"
    else:
        server_context("modern", path)


def check_after_next_call(folder: Path, authority_key: object, operation: str) -> None:
    """The next process finds the same authority, what was revoked, and can go on."""
    authority = open_authority(folder, wide=operation == "widen")
    authority.ensure()
    authority.renew()
    assert not list(folder.glob(".*.tmp")), "leftovers"
    certificate = x509.load_pem_x509_certificate(authority.ca_file.read_bytes())
    assert authority_key in (None, certificate.public_key())
    client = ssl.create_default_context(cafile=str(authority.ca_file))
    assert client.cert_store_stats()["x509_ca"] == 1
    leaf = x509.load_pem_x509_certificate(authority.server_file.read_bytes())
    leaf.verify_directly_issued_by(certificate)
    if operation != "ensure":
        revoked = x509.load_pem_x509_crl(authority.crl_file.read_bytes())
        assert revoked.get_revoked_certificate_by_serial_number(int(KEPT, 16))


def key_of(folder: Path) -> object:
    """The public key of the authority that is there."""
    path = folder / "ca.pem"
    return x509.load_pem_x509_certificate(path.read_bytes()).public_key() if path.exists() else None


def kill_at_every_step(folder: Path, operation: str) -> int:
    """Go on until the operation ends without meeting its step; return how many it has."""
    for step in range(MOST_STEPS):
        prepare(folder, operation)
        key = key_of(folder)

        def work(step: int = step) -> None:
            authority = open_authority(folder, wide=operation == "widen")
            die_before_step(folder, step)
            OPERATIONS[operation](authority)

        status = in_child(work)
        check_before_repair(folder, operation)
        check_after_next_call(folder, key or key_of(folder), operation)
        if status == 0:
            return step
        assert os.WTERMSIG(status) == signal.SIGKILL
    raise AssertionError("the operation never ended")


def fill_the_disk(folder: Path, operation: str) -> None:
    """Let no file grow beyond 100 bytes, as a full disk does; the old must stay."""
    prepare(folder, operation)
    before = {path.name: path.read_bytes() for path in folder.glob("*")}

    def work() -> None:
        authority = open_authority(folder, wide=operation == "widen")
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        OPERATIONS[operation](authority)

    assert os.WEXITSTATUS(in_child(work)) == 3
    after = {path.name: path.read_bytes() for path in folder.glob("*")}
    after.pop(".lock", None)
    before.pop(".lock", None)
    assert after == before
    check_after_next_call(folder, key_of(folder), operation)


def main() -> None:
    """Do what the command line says."""
    mode, operation, folder = sys.argv[1:]
    if mode == "kill":
        sys.stdout.write(str(kill_at_every_step(Path(folder), operation)))
    else:
        fill_the_disk(Path(folder), operation)


if __name__ == "__main__":
    main()
