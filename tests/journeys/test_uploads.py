"""Uploads as they meet the real server: large, broken off, over every protocol, workers killed."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import httpx
import psutil
import pytest

from certs.contexts import client_context
from tests.journeys.platform import Running, bearer, running, until
from tests.journeys.served import free_port
from tests.journeys.spooled import spools, watched
from tests.service.uploading import skops_file

MEBIBYTE: Final = 1024 * 1024
MARK: Final = b"a model that nobody else may read"
BEGINNING: Final = MARK * 10_000  # more than is kept in memory before it is written to the disk
PATH: Final = "/models/fresh/versions"


@pytest.fixture(scope="module")
def platform(demo_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("uploads") / "instance"
    shutil.copytree(demo_template, folder, symlinks=True)
    settings: dict[str, Any] = {"CLIENT_CERTIFICATE_PORT": free_port(), "FREE_DISK_BYTES": 0}
    with running(folder, **settings) as served:
        until(lambda: len(served.workers()) == 2)
        yield served


@pytest.fixture(scope="module")
def token(platform: Running) -> str:
    return str(platform.login("ada")["access_token"])


def test_no_program_makes_files_that_others_may_read(platform: Running) -> None:
    supervisor = psutil.Process(platform.process.pid)
    programs = [supervisor, *supervisor.children(), *platform.workers()]
    said = [Path(f"/proc/{program.pid}/status").read_text() for program in programs]
    assert {status.partition("Umask:")[2].split()[0] for status in said} == {"0077"}


def post(platform: Running, token: str, content: Any, **headers: str) -> httpx.Response:
    with httpx.Client(base_url=platform.url, verify=platform.context, timeout=120) as client:
        return client.post(PATH, content=content, headers=bearer(token) | headers)


def jobs(platform: Running, token: str) -> list[str]:
    with platform.client() as client:
        listed = client.get("/jobs", headers=bearer(token)).json()
    return [str(job["id"]) for job in listed]


def ended(platform: Running, token: str, job_id: str) -> dict[str, Any]:
    """The job when it has ended."""
    found: dict[str, Any] = {}

    def has_ended() -> bool:
        with platform.client() as client:
            found.update(client.get(f"/jobs/{job_id}", headers=bearer(token)).json())
        return found["state"] in ("ready", "refused", "failed", "cancelled")

    until(has_ended, seconds=120)
    return found


def test_large_upload_is_held_by_no_memory_and_is_no_plaintext_on_the_disk(
    platform: Running, token: str
) -> None:
    half = threading.Event()
    looked = threading.Event()
    block = MARK * (MEBIBYTE // len(MARK))

    def content() -> Iterator[bytes]:
        for number in range(100):
            if number == 50:
                half.set()
                assert looked.wait(30)
            yield block

    answers = []
    with watched(platform.workers()) as most:
        thread = threading.Thread(
            target=lambda: answers.append(post(platform, token, content()).json())
        )
        thread.start()
        assert half.wait(30)
        until(lambda: spools(platform))
        spooled = spools(platform)
        try:
            until(lambda: sum(file.stat().st_size for file in spooled) > 40 * MEBIBYTE)
            assert all(MARK not in file.read_bytes() for file in spooled)
        finally:
            looked.set()
            thread.join()

    (job,) = answers
    assert job["size"] == 100 * len(block), job
    assert most[0] < 64 * MEBIBYTE
    files = [path for path in platform.instance.rglob("*") if path.is_file()]
    assert not [path for path in files if MARK in path.read_bytes()]
    assert ended(platform, token, job["id"])["state"] == "refused"
    assert not spools(platform)


def test_upload_becomes_a_version_that_predicts(platform: Running, token: str) -> None:
    response = post(platform, token, skops_file(), Prefer="wait=60")

    assert response.status_code == 201, response.text
    version = response.json()["version"]
    with platform.client() as client:
        body = {"features": [3.0], "model": "fresh", "version": version}
        answer = client.post("/predict", json=body, headers=bearer(token)).json()
    assert answer["prediction"] == pytest.approx([3.0])


def connected(platform: Running) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", platform.port), timeout=20)
    return platform.context.wrap_socket(plain, server_hostname="localhost")


def head(token: str, *lines: str) -> bytes:
    fields = ("Host: localhost", f"Authorization: Bearer {token}", *lines)
    return "\r\n".join([f"POST {PATH} HTTP/1.1", *fields, "", ""]).encode()


def test_whoever_waits_for_leave_to_send_is_told_first(platform: Running, token: str) -> None:
    expecting = ("Expect: 100-continue", f"Content-Length: {len(skops_file())}")
    with connected(platform) as stranger:
        stranger.sendall(head("none", *expecting))
        assert stranger.recv(64).startswith(b"HTTP/1.1 401")
    with connected(platform) as known:
        known.sendall(head(token, *expecting))
        assert known.recv(64).startswith(b"HTTP/1.1 100")
        known.sendall(skops_file())
        assert known.recv(64).startswith(b"HTTP/1.1 202")


def test_body_of_a_stranger_is_not_spooled(platform: Running) -> None:
    with connected(platform) as stranger:
        stranger.sendall(head("none", f"Content-Length: {200 * MEBIBYTE}"))
        stranger.sendall(MARK * 100_000)
        assert not spools(platform)
        until(lambda: stranger.recv(64).startswith(b"HTTP/1.1 401"))
        assert not spools(platform)


@pytest.mark.parametrize("framing", ["Content-Length: 1000000", "Transfer-Encoding: chunked"])
def test_upload_that_is_broken_off_becomes_no_job(
    platform: Running, token: str, framing: str
) -> None:
    before = jobs(platform, token)
    with connected(platform) as connection:
        connection.sendall(head(token, framing) + b"%x\r\n" % len(BEGINNING) + BEGINNING)
        until(lambda: spools(platform))
    until(lambda: not spools(platform))
    assert jobs(platform, token) == before


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl speaks HTTP/2 here")
@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
@pytest.mark.parametrize("way", ["--data-binary", "--upload-file"])
def test_common_client_uploads_over_either_protocol(
    platform: Running, token: str, tmp_path: Path, version: str, way: str
) -> None:
    file = tmp_path / "model.skops"
    file.write_bytes(skops_file())
    # Read from a pipe, its size is not known: chunks, or frames until the last.
    given = {"--data-binary": f"@{file}", "--upload-file": "-"}[way]
    command = ["curl", "-sS", version, "--cacert", str(platform.instance / "certs" / "ca.pem")]
    command += ["-H", f"Authorization: Bearer {token}", "-X", "POST", "-w", "\n%{http_version}"]
    command += ["-H", "Content-Type: application/octet-stream", way, given, platform.url + PATH]
    with file.open("rb") as standard_input:
        done = subprocess.run(command, stdin=standard_input, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert f'"size":{len(skops_file())}' in done.stdout, done.stdout
    assert done.stdout.endswith("2" if version == "--http2" else "1.1")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl speaks HTTP/2 here")
def test_stream_that_is_broken_off_over_http2_becomes_no_job(platform: Running, token: str) -> None:
    before = jobs(platform, token)
    command = ["curl", "-sS", "--http2", "--cacert", str(platform.instance / "certs/ca.pem")]
    command += ["-H", f"Authorization: Bearer {token}", "-X", "POST", "-T", "-"]
    process = subprocess.Popen([*command, platform.url + PATH], stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(BEGINNING)
    process.stdin.flush()
    until(lambda: spools(platform))
    process.kill()
    process.communicate()
    until(lambda: not spools(platform))
    assert jobs(platform, token) == before


def test_client_with_a_certificate_uploads_as_well(
    platform: Running, token: str, tmp_path: Path
) -> None:
    platform.manage("certs", "client", "robot", "--out", str(tmp_path))
    certificate, pair = tmp_path / "robot.pem", tmp_path / "pair.pem"
    pair.write_bytes(certificate.read_bytes() + (tmp_path / "robot.key").read_bytes())
    platform.manage(
        "clients", "create", "robot", "--tenant", "acme", "--scope", "models.write:fresh",
        "--certificate", str(certificate),
    )  # fmt: skip
    context = client_context(platform.instance / "certs" / "ca.pem", pair=pair)
    port = int(platform.environment["SALLYPORT_CLIENT_CERTIFICATE_PORT"])
    with httpx.Client(base_url=f"https://localhost:{port}", verify=context, timeout=60) as robot:
        large = MARK * 500_000

        def pieces() -> Iterator[bytes]:
            for start in range(0, len(large), MEBIBYTE):
                yield large[start : start + MEBIBYTE]

        made = robot.post(PATH, content=pieces())
        foreign = robot.post("/models/linear/versions", content=large)

    assert made.status_code == 202, made.text
    assert made.json()["size"] == len(large)
    assert foreign.status_code == 403
    assert ended(platform, token, made.json()["id"])["state"] == "refused"


@pytest.mark.drill
def test_job_of_a_killed_worker_is_finished_by_another(platform: Running, token: str) -> None:
    from sklearn.datasets import make_classification
    from sklearn.ensemble import RandomForestClassifier

    from models.handlers.skops_file import write_skops

    features, labels = make_classification(1000, 20, random_state=0)
    forest = write_skops(RandomForestClassifier(60, random_state=0).fit(features, labels))
    job_id = post(platform, token, forest).json()["id"]
    until(lambda: lease(platform, job_id)[0])
    psutil.Process(int(lease(platform, job_id)[0].split(":")[1])).kill()

    job = ended(platform, token, job_id)
    assert job["state"] == "ready", job
    assert job["version"]
    assert lease(platform, job_id)[1] == 2
    until(lambda: len(platform.workers()) == 2)


def lease(platform: Running, job_id: str) -> tuple[str, int]:
    """Which process works on the job, and how many have begun to."""
    from sqlalchemy import select

    from config.database import Database
    from models.records import JobRow

    wanted = select(JobRow.holder, JobRow.attempts).where(JobRow.id == job_id)
    with (
        closing(Database(f"sqlite:///{platform.instance / 'sallyport.db'}")) as database,
        database.read() as session,
    ):
        holder, attempts = session.execute(wanted).one()
    return holder or "", attempts


def test_an_upload_that_is_sent_again_makes_one_job_whichever_worker_hears_it(
    platform: Running, token: str
) -> None:
    before = len(jobs(platform, token))
    headers = bearer(token) | {"Idempotency-Key": "again"}

    def send(note: str = "one") -> httpx.Response:
        with platform.client() as client:  # a connection of its own, and a boundary
            files, data = {"file": b"no model"}, {"note": note}
            return client.post(PATH, files=files, data=data, headers=headers)

    with ThreadPoolExecutor(4) as pool:
        raced = list(pool.map(lambda _: send(), range(4)))
    again = [send() for _ in range(4)]

    assert {answer.status_code for answer in raced} <= {202, 409}
    assert {answer.headers.get("Idempotency-Replayed") for answer in again} == {"true"}
    assert len({answer.json()["id"] for answer in again}) == 1
    assert len(jobs(platform, token)) == before + 1
    assert send("two").status_code == 422
