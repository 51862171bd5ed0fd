from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest

from config.sealing import Sealer
from models.errors import ArtefactBroken, PredictionFailed
from models.execution.in_process import OVERHEAD_BYTES, InProcessExecutor
from models.intake import Prepared
from models.manifest import Manifest
from models.opening import open_artefact
from models.register.artefacts import Artefacts
from models.versions import Version

ROW = np.array([[5.0, 10.0]])


def _version(prepared: Prepared, id: str = "ver_1", tenant: str = "tnt_acme") -> Version:
    manifest = Manifest(
        tenant_id=tenant,
        model="linear",
        number=1,
        created_by="x",
        created_at=1.0,
        contents=prepared.contents,
    )
    return Version(id, manifest)


@dataclass
class Fetching:
    """Returns the artefact that was registered, and remembers for whom."""

    artefact: bytes
    asked: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, version: Version) -> bytes:
        """Return the artefact."""
        self.asked.append((version.tenant_id, version.id))
        return self.artefact


ONE = OVERHEAD_BYTES + 100  # what the demo model comes to, and some


def _with_digest(prepared: Prepared, digest: str) -> Prepared:
    files = {role: replace(file, digest=digest) for role, file in prepared.contents.files.items()}
    return replace(prepared, contents=replace(prepared.contents, files=files))


@pytest.fixture
def fetching(demo: Prepared) -> Fetching:
    """The demo model's artefact."""
    return Fetching(demo.blobs["engine"])


def test_demo_model_answers_exactly_as_scikit_learn(
    demo: Prepared, demo_model: Any, fetching: Fetching
) -> None:
    executor = InProcessExecutor(fetching, open_artefact, budget_bytes=100_000)
    answer = executor.answer(_version(demo), "predict", ROW, seconds=1)

    assert answer.tolist() == demo_model.predict(ROW).tolist()
    assert answer.tolist() == [pytest.approx(15)]


def test_version_is_fetched_once_while_it_is_open(demo: Prepared, fetching: Fetching) -> None:
    executor = InProcessExecutor(fetching, open_artefact, budget_bytes=100_000)
    executor.warm(_version(demo))
    executor.answer(_version(demo), "predict", ROW, seconds=1)

    assert len(fetching.asked) == 1


def test_same_artefact_of_two_tenants_is_opened_for_each(
    demo: Prepared, fetching: Fetching
) -> None:
    executor = InProcessExecutor(fetching, open_artefact, budget_bytes=100_000)
    for tenant in ("tnt_acme", "tnt_globex"):
        executor.answer(_version(demo, tenant=tenant), "predict", ROW, seconds=1)

    assert [tenant for tenant, _ in fetching.asked] == ["tnt_acme", "tnt_globex"]


def test_another_digest_under_the_same_version_is_opened_anew(
    demo: Prepared, fetching: Fetching
) -> None:
    executor = InProcessExecutor(fetching, open_artefact, budget_bytes=100_000)
    executor.warm(_version(demo))
    executor.warm(_version(_with_digest(demo, "0" * 64)))

    assert len(fetching.asked) == 2


def test_least_recently_used_version_is_closed_when_the_budget_is_full(
    demo: Prepared, fetching: Fetching
) -> None:
    executor = InProcessExecutor(fetching, open_artefact, budget_bytes=2 * ONE)
    for id in ("a", "b", "a", "c", "a", "b"):
        executor.warm(_version(demo, id))

    assert [id for _, id in fetching.asked] == ["a", "b", "c", "b"]


def test_tenant_that_holds_most_closes_its_own_versions(demo: Prepared, fetching: Fetching) -> None:
    executor = InProcessExecutor(fetching, open_artefact, budget_bytes=5 * ONE)
    quiet = _version(demo, "quiet", "tnt_globex")
    executor.warm(quiet)
    for number in range(50):
        executor.warm(_version(demo, f"greedy_{number}"))

    assert executor.is_warm(quiet)
    assert executor.is_warm(_version(demo, "greedy_49"))
    assert not executor.is_warm(_version(demo, "greedy_0"))


def test_thousand_versions_of_a_hundred_tenants_are_served_within_the_budget(
    demo: Prepared, fetching: Fetching
) -> None:
    executor = InProcessExecutor(fetching, open_artefact, budget_bytes=300 * ONE)
    versions = [_version(demo, f"v{n}", f"tnt_{n % 100}") for n in range(1000)]
    for version in versions * 2:
        answer = executor.answer(version, "predict", ROW, seconds=1)
        assert answer.tolist() == [pytest.approx(15)]

    warm = [version.tenant_id for version in versions if executor.is_warm(version)]
    assert 290 <= len(warm) <= 310
    assert set(Counter(warm).values()) <= {2, 3, 4}


def test_version_over_the_budget_is_served_alone(demo: Prepared, fetching: Fetching) -> None:
    executor = InProcessExecutor(fetching, open_artefact, budget_bytes=1)
    for id in ("a", "a", "b", "b"):
        executor.warm(_version(demo, id))

    assert [id for _, id in fetching.asked] == ["a", "b"]


def test_forgotten_tenant_is_opened_anew_and_others_are_not(
    demo: Prepared, fetching: Fetching
) -> None:
    executor = InProcessExecutor(fetching, open_artefact, budget_bytes=100_000)
    both = [_version(demo, tenant=tenant) for tenant in ("tnt_acme", "tnt_globex")]
    for version in both:
        executor.warm(version)
    executor.forget("tnt_acme")
    for version in both:
        executor.warm(version)

    assert [tenant for tenant, _ in fetching.asked] == ["tnt_acme", "tnt_globex", "tnt_acme"]


def _waiting_to_open() -> int:
    """How many threads stand still until another one has opened what they ask for."""
    frames = sys._current_frames().values()
    return sum(frame.f_code.co_name == "_opened_in_turn" for frame in frames)


def test_many_threads_open_a_version_once(demo: Prepared) -> None:
    fetched = []

    def fetch(version: Version) -> bytes:
        fetched.append(version.id)
        deadline = time.monotonic() + 10
        while _waiting_to_open() < 7 and time.monotonic() < deadline:
            time.sleep(0.001)
        return demo.blobs["engine"]

    executor = InProcessExecutor(fetch, open_artefact, budget_bytes=100_000)
    with ThreadPoolExecutor(8) as threads:
        answers = list(
            threads.map(
                lambda _: executor.answer(_version(demo), "predict", ROW, seconds=1), range(8)
            )
        )

    assert fetched == ["ver_1"]
    assert [answer.tolist() for answer in answers] == [answers[0].tolist()] * 8


def test_slow_opening_of_one_version_does_not_hold_up_another(demo: Prepared) -> None:
    started, release = Event(), Event()

    def fetch(version: Version) -> bytes:
        if version.id == "slow":
            started.set()
            assert release.wait(10)
        return demo.blobs["engine"]

    executor = InProcessExecutor(fetch, open_artefact, budget_bytes=100_000)
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(executor.warm, _version(demo, "slow"))
        assert started.wait(10)
        assert executor.answer(_version(demo, "quick"), "predict", ROW, seconds=1).shape == (1,)
        release.set()
        slow.result(10)


def test_version_that_is_not_open_is_not_at_hand(demo: Prepared, fetching: Fetching) -> None:
    executor = InProcessExecutor(fetching, open_artefact, budget_bytes=100_000)
    version = _version(demo)

    assert executor.at_hand(version) is None
    assert not fetching.asked

    executor.warm(version)
    predictor = executor.at_hand(version)

    assert predictor is not None
    assert predictor.answer("predict", ROW).tolist() == [pytest.approx(15)]
    assert executor.at_hand(_version(demo, tenant="tnt_globex")) is None


def test_version_that_is_taken_at_hand_counts_as_used(demo: Prepared, fetching: Fetching) -> None:
    executor = InProcessExecutor(fetching, open_artefact, budget_bytes=2 * ONE)
    executor.warm(_version(demo, "a"))
    executor.warm(_version(demo, "b"))
    executor.at_hand(_version(demo, "a"))
    executor.warm(_version(demo, "c"))

    assert executor.is_warm(_version(demo, "a"))
    assert not executor.is_warm(_version(demo, "b"))


def test_failed_opening_is_told_to_each_and_tried_again(demo: Prepared) -> None:
    artefacts = iter([b"junk", b"junk", demo.blobs["engine"]])
    executor = InProcessExecutor(lambda _: next(artefacts), open_artefact, budget_bytes=100_000)

    for _ in range(2):
        with pytest.raises(ArtefactBroken):
            executor.answer(_version(demo), "predict", ROW, seconds=1)
    assert executor.answer(_version(demo), "predict", ROW, seconds=1).shape == (1,)


def test_many_versions_under_a_small_budget_answer_right_from_many_threads(
    demo: Prepared, fetching: Fetching
) -> None:
    executor = InProcessExecutor(fetching, open_artefact, budget_bytes=2 * ONE)
    versions = [_version(demo, f"ver_{n}") for n in range(6)]

    with ThreadPoolExecutor(6) as threads:
        answers = threads.map(
            lambda n: executor.answer(versions[n % 6], "predict", ROW, seconds=1).tolist(),
            range(600),
        )

    assert all(answer == [pytest.approx(15)] for answer in answers)


def test_failure_within_a_models_library_names_the_model_and_hides_the_input(
    demo: Prepared, fetching: Fetching
) -> None:
    executor = InProcessExecutor(fetching, open_artefact, budget_bytes=100_000)

    with pytest.raises(PredictionFailed) as failed:
        executor.answer(_version(demo), "predict", np.ones((1, 3)), seconds=1)

    assert str(failed.value) == "the model 'linear' version 1 failed on this input"


def test_artefact_is_not_opened_by_another_engine_than_the_manifests(demo: Prepared) -> None:
    contents = replace(demo.contents, engine="x")

    with pytest.raises(ArtefactBroken):
        open_artefact(contents, demo.blobs["engine"])


SERVE = """
import sys
from pathlib import Path
import numpy as np
from config.sealing import Sealer
from models.register.artefacts import Artefacts
from models.execution.in_process import InProcessExecutor
from models.manifest import read_manifest
from models.stores.folder import FolderStore
from models.opening import open_artefact
from models.requests.tensors import read_prediction_request
from models.requests.bounds import Bounds
from models.versions import Version
import models.register.registry, models.intake
folder = Path(sys.argv[1])
text, signature = (folder / "manifest").read_bytes(), (folder / "signature").read_text()
version = Version("ver_1", read_manifest(text, signature, b"key"))
store, sealer = Artefacts(FolderStore(folder / "artefacts")), Sealer((bytes(32),))
def fetch(version):
    return store.open(version, "engine", sealer)
executor = InProcessExecutor(fetch, open_artefact, budget_bytes=100_000)
bounds = Bounds(max_bytes=100, max_rows=9, max_columns=9, max_depth=3)
request = read_prediction_request(b'{"features":[5,10]}', bounds)
print(executor.answer(version, "predict", request.rows, seconds=1).tolist())
heavy = {"sklearn", "scipy", "skops", "joblib", "pickle5"} & sys.modules.keys()
print(sorted(heavy))
"""


def test_worker_that_serves_compiled_models_never_imports_scikit_learn(
    tmp_path: Path, store: Artefacts, sealer: Sealer, demo: Prepared
) -> None:
    from models.manifest import sign

    version = _version(demo)
    store.put(version, "engine", demo.blobs["engine"], sealer)
    text = version.manifest.canonical()
    (tmp_path / "manifest").write_bytes(text)
    (tmp_path / "signature").write_text(sign(text, b"key"))

    done = subprocess.run(
        [sys.executable, "-c", SERVE, str(tmp_path)], capture_output=True, text=True, check=False
    )

    assert done.stdout.splitlines() == ["[15.0]", "[]"], done.stderr
