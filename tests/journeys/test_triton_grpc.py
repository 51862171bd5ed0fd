"""Triton's own gRPC clients, unmodified, against the real platform over real TLS."""

from __future__ import annotations

import asyncio
import queue
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.grpc.auth import BasicAuth
from tritonclient.utils import InferenceServerException

from config.settings import load_settings
from service.operations import clients
from tests.docs.markdown import ROOT, blocks
from tests.house import opened
from tests.journeys.platform import Running, running, until
from tests.journeys.served import free_port

ROWS = np.array([[5.0, 10.0], [1.0, 2.0]])
MANUAL = ROOT / "docs" / "how-to" / "clients.md"
ANSWERS = pytest.approx([15, 3])
OWN = [("grpc.use_local_subchannel_pool", 1)]


@dataclass(frozen=True)
class Site:
    """A platform that serves gRPC, and who calls it there."""

    served: Running
    port: int
    token: str
    robot: tuple[str, str]

    @property
    def headers(self) -> dict[str, str]:
        """What carries the access token."""
        return {"authorization": f"Bearer {self.token}"}

    def client(self, kind: Any = triton.InferenceServerClient) -> Any:
        """A client with a connection of its own, as the manual makes one."""
        return kind(
            f"localhost:{self.port}",
            ssl=True,
            root_certificates=str(self.served.instance / "certs" / "ca.pem"),
            channel_args=OWN,
        )

    def predict(self) -> Any:
        """What a new client is answered."""
        with self.client() as client:
            return client.infer("linear", [rows()], headers=self.headers).as_numpy("predict")

    def programs(self) -> list[psutil.Process]:
        """The gRPC programs that run, the oldest first."""
        children = psutil.Process(self.served.process.pid).children()
        return [process for process in children if _is_grpc(process)]


def _is_grpc(process: psutil.Process) -> bool:
    try:
        return "service.grpc_inference" in process.cmdline()
    except psutil.Error:  # it has just ended
        return False


def rows() -> Any:
    """The tensor of two rows, in binary form."""
    tensor = triton.InferInput("input", ROWS.shape, "FP64")
    return tensor.set_data_from_numpy(ROWS)


@pytest.fixture(scope="module")
def site(demo_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder, port = tmp_path_factory.mktemp("grpc") / "instance", free_port()
    shutil.copytree(demo_template, folder, symlinks=True)
    with opened(load_settings(folder)) as house:
        made = clients.create_client(house.platform, house.operator("acme"), "robot", "predict")
    with running(folder, GRPC_PORT=port, ACCESS_SECONDS=3600) as served:
        token = served.login("ada")["access_token"]
        yield Site(served, port, token, (made.id, made.secret or ""))


def test_it_says_where_it_serves(site: Site) -> None:
    assert site.served.process.stdout is not None
    said = [site.served.process.stdout.readline() for _ in range(2)]
    assert f"gRPC             localhost:{site.port}\n" in said


def test_the_client_reads_health_descriptions_and_counts(site: Site) -> None:
    with site.client() as client:
        told = {"headers": site.headers}
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("linear", **told)
        assert not client.is_model_ready("absent", **told)
        assert client.get_server_metadata(as_json=True)["name"] == "sallyport"
        assert client.get_model_metadata("linear", **told).inputs[0].datatype == "FP64"
        assert client.get_model_config("linear", **told).config.backend == "sallyport"
        client.infer("linear", [rows()], **told)
        [counted] = client.get_inference_statistics("linear", **told).model_stats
        assert counted.inference_count >= 2
        assert client.get_model_repository_index(**told).models[0].state == "READY"


def test_the_client_predicts_with_every_option(site: Site) -> None:
    with site.client() as client:
        answer = client.infer(
            "linear",
            [rows()],
            model_version="champion",
            outputs=[triton.InferRequestedOutput("predict")],
            request_id="a7",
            priority=1,
            client_timeout=10,
            headers=site.headers,
            compression_algorithm="gzip",
            parameters={"mine": "yes"},
        )
        assert answer.as_numpy("predict").tolist() == ANSWERS
        assert answer.get_response().id == "a7"
        answered: queue.Queue[Any] = queue.Queue()
        client.async_infer(
            "linear", [rows()], lambda **told: answered.put(told), headers=site.headers
        )
        told = answered.get(timeout=10)
        assert told["error"] is None
        assert told["result"].as_numpy("predict").tolist() == ANSWERS


def test_the_client_streams_and_reads_what_is_refused_in_the_stream(site: Site) -> None:
    answered: queue.Queue[Any] = queue.Queue()
    with site.client() as client:
        client.start_stream(lambda **told: answered.put(told), headers=site.headers)
        for model in ("linear", "absent", "linear"):
            client.async_stream_infer(model, [rows()], request_id=model)
        told = [answered.get(timeout=10) for _ in range(3)]
        client.stop_stream()

    assert [one["error"] is None for one in told] == [True, False, True]
    assert "Request for unknown model" in str(told[1]["error"])
    assert told[2]["result"].as_numpy("predict").tolist() == ANSWERS


def test_the_asynchronous_client_does_the_same(site: Site) -> None:
    async def converse() -> list[Any]:
        client = site.client(triton_aio.InferenceServerClient)
        try:
            one = await client.infer("linear", [rows()], headers=site.headers)
            with pytest.raises(InferenceServerException) as refused:
                await client.infer("linear", [rows()])
            assert refused.value.status() == "StatusCode.UNAUTHENTICATED"
            stream = client.stream_infer(sent(), headers=site.headers)
            streamed = [result async for result, error in stream if error is None]
            return [result.as_numpy("predict").tolist() for result in (one, *streamed)]
        finally:
            await client.close()

    async def sent() -> AsyncIterator[dict[str, Any]]:
        for _ in range(2):
            yield {"model_name": "linear", "inputs": [rows()]}

    assert asyncio.run(converse()) == [ANSWERS] * 3


def test_service_account_calls_with_the_clients_own_plugin(site: Site) -> None:
    with site.client() as client:
        client.register_plugin(BasicAuth(*site.robot))
        assert client.infer("linear", [rows()]).as_numpy("predict").tolist() == ANSWERS


def test_the_client_unloads_and_loads(site: Site) -> None:
    with site.client() as client:
        client.unload_model("linear", headers=site.headers)
        until(lambda: not client.is_model_ready("linear", headers=site.headers))
        with pytest.raises(InferenceServerException):
            client.infer("linear", [rows()], headers=site.headers)
        client.load_model("linear", headers=site.headers)
        until(lambda: client.is_model_ready("linear", headers=site.headers))
    assert site.predict().tolist() == ANSWERS


def test_the_example_of_the_manual_works(site: Site) -> None:
    [example] = [
        each for each in blocks(MANUAL.read_text(), "python") if "tritonclient.grpc" in each
    ]
    code = example.replace("localhost:8001", f"localhost:{site.port}")
    code = code.replace("instance/certs", str(site.served.instance / "certs"))
    done = subprocess.run(
        [sys.executable, "-c", f"token = {site.token!r}\n{code}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.strip() == "[15.  3.]", done.stderr


def test_modern_profile_speaks_tls_1_3_alone(site: Site) -> None:
    context = site.served.context
    context.set_alpn_protocols(["h2"])
    assert shake_hands(context, site.port) == "TLSv1.3"
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        shake_hands(context, site.port)


def shake_hands(context: ssl.SSLContext, port: int) -> str | None:
    """The version of TLS that is agreed on."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        return secured.version()


def test_killed_worker_and_killed_program_come_back(site: Site) -> None:
    [program] = site.programs()
    worker = program.children()[0]
    worker.kill()
    until(lambda: not worker.is_running() and serves(site))

    workers = program.children()
    program.kill()

    until(lambda: not any(worker.is_running() for worker in workers))
    until(lambda: serves(site))


def serves(site: Site) -> bool:
    """Whether a new client is answered."""
    try:
        return bool(site.predict().tolist() == ANSWERS)
    except InferenceServerException:
        return False


def test_reload_keeps_serving_new_clients_and_old_ones(site: Site) -> None:
    until(lambda: serves(site))
    [before] = site.programs()
    with calling(site) as outcomes:
        site.served.process.send_signal(signal.SIGHUP)
        until(lambda: not before.is_running())
        until(lambda: serves(site))
    assert set(outcomes) == {"answered"}


@contextmanager
def calling(site: Site) -> Iterator[Counter[str]]:
    """Call until the end of the block: over one connection, and over a new one each time."""
    outcomes, over = Counter[str](), threading.Event()

    def call() -> None:
        with site.client() as kept:
            while not over.is_set():
                try:
                    kept.infer("linear", [rows()], headers=site.headers)
                    site.predict()
                    outcomes["answered"] += 1
                except InferenceServerException as error:
                    outcomes[str(error)] += 1
                over.wait(0.05)

    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield outcomes
    finally:
        over.set()
        thread.join()
