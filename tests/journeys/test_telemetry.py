"""What the real platform tells of its calls: exact, joined to its callers' traces, and silent
about what they sent."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import struct
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2

from tests.collector import Collector, collector
from tests.journeys.platform import Running, bearer, running, until
from tests.journeys.served import free_port

NUMBER = 7319.4826513
CANARY = f"canary{secrets.token_hex(6)}"
INFER = "/inference.GRPCInferenceService/ModelInfer"
JSON = "application/json"
SPOKEN = {
    *("native", "columnar", "mlflow", "tensorflow-serving"),
    *("open-inference", "open-inference-grpc"),
}


@dataclass
class Watched:
    """A served platform, where its traces go, and its log."""

    platform: Running
    receiver: Collector
    log: Path
    grpc_port: int

    def scrape(self) -> str:
        """The metrics, as Prometheus has them."""
        identifier, secret = self.prometheus()
        with self.platform.client() as client:
            token = client.post(
                "/auth/token",
                data={"grant_type": "client_credentials"},
                auth=(identifier, secret),
            ).json()["access_token"]
            return client.get("/metrics", headers=bearer(token)).text

    def prometheus(self) -> tuple[str, str]:
        """The identifier and secret of a service account that reads metrics."""
        kept = self.log.with_name("prometheus.json")
        if not kept.exists():
            words = ("prometheus", "--tenant", "platform", "--scope", "metrics", "--json")
            kept.write_text(self.platform.manage("clients", "create", *words))
        made = json.loads(kept.read_text())
        return made["id"], made["secret"]


@pytest.fixture(scope="module")
def watched(demo_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    shutil.copytree(demo_template, folder / "instance", symlinks=True)
    port, log = free_port(), folder / "log"
    with collector() as receiver, log.open("wb") as written:
        settings = {
            "LOG_LEVEL": "debug",
            "GRPC_PORT": port,
            "OTEL_ENDPOINT": receiver.url,
            "OTEL_SAMPLE_RATIO": 1.0,
            "LOGIN_ATTEMPTS_PER_MINUTE": 1000,
        }
        with running(folder / "instance", log=written, **settings) as platform:
            yield Watched(platform, receiver, log, port)


def infer(watched: Watched, token: str, rows: list[list[float]], **members: str) -> str:
    """Ask over gRPC; returns the name of the status."""
    ca = (watched.platform.instance / "certs" / "ca.pem").read_bytes()
    request = service_pb2.ModelInferRequest(model_name="linear", **members)
    tensor = request.inputs.add(name="input", datatype="FP64", shape=[len(rows), 2])
    tensor.contents.fp64_contents.extend(value for row in rows for value in row)
    with grpc.secure_channel(
        f"localhost:{watched.grpc_port}", grpc.ssl_channel_credentials(ca)
    ) as channel:
        call = channel.unary_unary(INFER)
        sent = [("authorization", f"Bearer {token}")]
        try:
            call(request.SerializeToString(), metadata=sent, timeout=20)
        except grpc.RpcError as error:
            return str(error.code().name)
    return "OK"


def value_of(shown: str, name: str, **labels: str) -> float:
    """The sum of a metric over the labels that are not given."""
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    lines = [line for line in shown.splitlines() if re.match(rf"{name}[{{ ]", line)]
    return sum(
        float(line.rpartition(" ")[2]) for line in lines if all(each in line for each in wanted)
    )


def test_every_answer_is_counted_once_also_those_of_workers_that_were_killed(
    watched: Watched,
) -> None:
    platform = watched.platform
    token = platform.login()["access_token"]
    until(lambda: len(platform.workers()) == 2)
    before = watched.scrape()

    assert platform.everywhere(token, times=15) == {200: 15}
    killed = platform.workers()
    for victim in killed:
        victim.kill()
    until(lambda: len(set(platform.workers()) - set(killed)) == 2)
    assert platform.everywhere(token, times=15) == {200: 15}
    for _ in range(5):
        assert infer(watched, token, [[5.0, 10.0], [1.0, 2.0]]) == "OK"

    shown = watched.scrape()

    def counted(name: str, **labels: str) -> float:
        return value_of(shown, name, **labels) - value_of(before, name, **labels)

    assert counted("sallyport_requests_total", endpoint="predict.predict", status="200") == 30
    assert counted("sallyport_predicted_rows_total", dialect="native") == 30
    for stage in ("decode", "admit", "bind", "compute", "encode"):
        assert counted("sallyport_stage_seconds_count", dialect="native", stage=stage) == 30
    assert counted("sallyport_requests_total", endpoint="grpc.ModelInfer", status="200") == 5
    assert counted("sallyport_predicted_rows_total", dialect="open-inference-grpc") == 10
    assert value_of(shown, "sallyport_queue_threads", program="grpc", lane="quick") > 0
    until(lambda: value_of(watched.scrape(), "sallyport_processes", program="web") == 2)
    assert value_of(watched.scrape(), "sallyport_process_cpu_seconds_total", program="grpc") > 0


def test_a_line_of_the_log_says_whose_call_it_was_and_how_it_went(watched: Watched) -> None:
    trace_id = secrets.token_hex(16)
    headers = bearer(watched.platform.login("rob")["access_token"])
    headers["traceparent"] = f"00-{trace_id}-{secrets.token_hex(8)}-01"
    with watched.platform.client() as client:
        answer = client.post("/predict", json={"features": [5, 10]}, headers=headers)

    [line] = [
        line for line in lines(watched) if line.get("trace_id") == trace_id and "status" in line
    ]
    assert line["request_id"] == answer.headers["x-request-id"]
    assert (line["endpoint"], line["dialect"], line["status"]) == ("predict.predict", "native", 200)
    assert set(line["stages"]) >= {"decode", "admit", "bind", "compute", "encode"}
    assert line["tenant"].startswith("ten_")
    assert line["principal"].startswith("usr_")
    until(lambda: any(span.trace_id == trace_id for span in watched.receiver.spans))


def lines(watched: Watched) -> list[dict[str, Any]]:
    return [json.loads(line) for line in watched.log.read_text().splitlines() if line[0] == "{"]


def test_nothing_that_a_caller_sent_is_kept_anywhere(watched: Watched) -> None:
    """Values, names, credentials and addresses, in every dialect, taken and refused."""
    tokens = [watched.platform.login("rob")["access_token"], CANARY, None]
    with watched.platform.client() as client:
        for token in tokens:
            headers = {"x-canary": CANARY, "idempotency-key": CANARY}
            headers |= bearer(token) if token else {}
            for path, body, media_type in calls():
                kind = {"content-type": media_type}
                client.post(path, content=body, headers=headers | kind)
        client.post("/auth/login", json={"tenant": CANARY, "username": CANARY, "password": CANARY})
        basic = b64encode(f"{CANARY}:{CANARY}".encode()).decode()
        client.post("/models/linear/invocations", headers={"authorization": f"Basic {basic}"})
        client.post("/auth/token", data={"grant_type": CANARY}, auth=(CANARY, CANARY))
        client.request(CANARY, f"/{CANARY}")
        last = client.get("/health/live", headers={"traceparent": CANARY, "tracestate": CANARY})
    for token in filter(None, tokens):
        infer(watched, token, [[NUMBER, NUMBER]])
        infer(watched, token, [[NUMBER]])
        infer(watched, token, [[NUMBER, NUMBER]], id=CANARY, model_version=CANARY)
    metrics = watched.scrape()
    trace = last.headers["traceresponse"].split("-")[1]
    until(lambda: any(span.trace_id == trace for span in watched.receiver.spans))

    kept = {
        "log": watched.log.read_bytes(),
        "metrics": metrics.encode(),
        "spans": b"".join(watched.receiver.bodies),
    }
    assert all(len(text) > 10_000 for text in kept.values())
    assert {str(line.get("dialect")) for line in lines(watched)} >= SPOKEN
    secret = watched.prometheus()[1]
    password = watched.platform.credentials("rob")["password"]
    signature = (tokens[0] or "")[-40:]
    for what in (CANARY, str(NUMBER)[:7], signature, basic, secret, password):
        found = [name for name, text in kept.items() if what.encode() in text]
        assert not found, (what, found)
    assert struct.pack("<d", NUMBER) not in b"".join(kept.values())


def calls() -> Iterator[tuple[str, bytes, str]]:
    """A path, a body and its type: what each dialect takes, and what each refuses."""
    row, short, text = [NUMBER, NUMBER], [NUMBER], [CANARY, NUMBER]
    for rows in ([row], [short], [text], [row, short], {CANARY: NUMBER}):
        for path, body in bodies(rows).items():
            yield path, json.dumps(body).encode(), JSON
    for path in bodies([]):
        yield path, f'{{"{CANARY}": [{NUMBER}'.encode(), JSON
        yield path, f"x0,x1\n{NUMBER},{CANARY}\n".encode(), "text/csv"
        yield path.replace("linear", CANARY), b"{}", JSON
        yield f"{path}?access_token={CANARY}&version={CANARY}", b"{}", JSON
        yield path, json.dumps(CANARY).encode(), f"application/{CANARY}"
    sized = {"binary_data_size": 16}
    head = {"name": "input", "datatype": "FP64", "shape": [1, 2], "parameters": sized}
    text_head = json.dumps({"inputs": [head]}).encode()
    yield "/v2/models/linear/infer", text_head + struct.pack("<2d", *row), JSON
    yield "/v2/models/linear/infer", struct.pack("<2d", *row), "application/octet-stream"


def bodies(rows: Any) -> dict[str, dict[str, Any]]:
    """The rows as each dialect over HTTP asks for them."""
    tensor = {"name": CANARY, "datatype": "FP64", "shape": [1, 2], "data": rows}
    return {
        "/predict": {"features": rows, "model": "linear"},
        "/models/linear/predict": {"features": rows},
        "/v2/models/linear/infer": {"id": CANARY, "inputs": [tensor]},
        "/v1/models/linear:predict": {"instances": rows, CANARY: CANARY},
        "/v1/models/linear:classify": {"examples": rows},
        "/models/linear/invocations": {"inputs": rows, "params": {"x": CANARY}},
        "/invocations": {"dataframe_split": {"columns": [CANARY], "data": rows}},
    }
