"""Killed writers, full disks and many writers at once: the folder always serves."""

from __future__ import annotations

import fcntl
import os
import ssl
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509

from certs.authority import Authority
from certs.errors import FolderBusy, NotStored
from certs.files import locked
from tests.certs.conftest import Clock, MakeAuthority

ROOT = Path(__file__).parents[2]
OPERATIONS = ["ensure", "renew", "revoke", "reseal", "widen"]
LEAST_STEPS = {"ensure": 10, "renew": 5, "revoke": 3, "reseal": 3, "widen": 6}
RENEWALS = 12


def drill(mode: str, operation: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.certs.crash_drill", mode, operation, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_writer_killed_before_any_step_leaves_a_folder_that_serves(
    tmp_path: Path, operation: str
) -> None:
    done = drill("kill", operation, tmp_path / "certs")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= LEAST_STEPS[operation]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_full_disk_leaves_what_was_there_and_is_reported(tmp_path: Path, operation: str) -> None:
    done = drill("full", operation, tmp_path / "certs")
    assert done.returncode == 0, done.stderr
    assert "could not be written: File too large; what was there is unchanged" in done.stderr


def test_of_many_renewals_at_once_one_is_done(authority: Authority, clock: Clock) -> None:
    clock.advance(days=70)
    with ThreadPoolExecutor(8) as pool:
        renewals = [future.result() for future in [pool.submit(authority.renew) for _ in range(8)]]
    assert sum(renewal.renewed for renewal in renewals) == 1
    assert len({renewal.certificate.serial for renewal in renewals}) == 1


def test_revocations_at_once_are_all_kept(authority: Authority) -> None:
    serials = [f"{number:x}" for number in range(1, 25)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(authority.revoke, serials))
    text = authority.crl_file.read_bytes()
    assert len(list(x509.load_pem_x509_crl(text))) == len(serials)


def test_a_reader_never_sees_a_certificate_with_another_ones_key(
    authority: Authority, make_authority: MakeAuthority
) -> None:
    done, loads, problems = threading.Event(), 0, []

    def read() -> None:
        nonlocal loads
        reader = make_authority()
        while not done.is_set():
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(reader.server_file)
                loads += 1
            except FileNotFoundError:
                continue  # three renewals since it asked: a server asks again
            except ssl.SSLError as error:
                problems.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    for _ in range(RENEWALS):
        authority.renew(force=True)
    done.set()
    thread.join()
    assert loads
    assert not problems


def test_founding_at_once_makes_one_authority(make_authority: MakeAuthority) -> None:
    authorities = [make_authority() for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(Authority.ensure, authorities))
    assert len({authority.describe().authority_fingerprint for authority in authorities}) == 1
    assert len({authority.describe().serial for authority in authorities}) == 1


def test_a_lock_that_is_held_too_long_is_reported(authority: Authority, folder: Path) -> None:
    with (folder / ".lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(FolderBusy, match="another process"), locked(folder, seconds=0.05):
            pytest.fail("entered")
    authority.ensure()


def test_a_folder_that_cannot_be_made_is_reported(
    tmp_path: Path, make_authority: MakeAuthority
) -> None:
    (tmp_path / "certs").write_bytes(b"")
    with pytest.raises(NotStored, match="could not be written"):
        make_authority().ensure()
    assert os.path.lexists(tmp_path / "certs")
