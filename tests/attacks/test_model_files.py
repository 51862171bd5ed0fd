"""Model files of attackers are refused with a reason, and harm nobody where they are not."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from skl2onnx import to_onnx
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import PolynomialFeatures

from config.sealing import Sealer
from models.errors import (
    ArtefactBroken,
    DeadlineExceeded,
    FormatRefused,
    GivenRowsRefused,
    HostCrashed,
    IntakeFailed,
    IntakeRefused,
    PredictionFailed,
)
from models.formats import FORMATS
from models.manifest import MODEL
from models.register.artefacts import Artefacts
from models.signature import Output
from models.stores.folder import FolderStore
from models.versions import Version
from service.problems import TABLE
from tests.attacks import hostile_models as hostile
from tests.attacks.canaries import Canaries, canaries
from tests.attacks.site import Site, guarded, opened, unguarded
from tests.contracts.hostile_files import HOSTILE, Hostile
from tests.models.files import skops_bytes

ROOT = Path(__file__).resolve().parent.parent.parent
ANY = frozenset(FORMATS)
OUTSIDE = [each for each in HOSTILE if each.format == "onnx" and "outside" in each.name]
LEAKS = re.compile(rf"Traceback|File \"|0x[0-9a-f]{{6}}|{re.escape(str(ROOT))}|/site-packages/")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with opened(guarded()) as site:
        yield site


@pytest.fixture(scope="module")
def open_site() -> Iterator[Site]:
    """A site whose checks of files are switched off."""
    with opened(unguarded()) as site:
        yield site


@pytest.fixture
def birds() -> Iterator[Canaries]:
    with canaries() as birds:
        yield birds


def every_act(birds: Canaries) -> str:
    """Python that tries to wake every canary, one after the other."""
    return "\n".join(f"try:\n {act}\nexcept BaseException: pass" for act in birds.acts.values())


def refusal(site: Site, data: bytes, formats: frozenset[str] = ANY) -> str:
    """What is said to the uploader of a file that is refused."""
    with site.undisturbed(), pytest.raises(IntakeRefused) as refused:
        site.take_in(data, formats)
    said = str(refused.value)
    assert not LEAKS.search(said), said
    return said


# Row 1: code that runs when the file is opened


@pytest.mark.parametrize("act", ["file", "network", "abstract", "process", "program", "shell"])
def test_the_canaries_sing_where_there_is_no_sandbox(birds: Canaries, act: str) -> None:
    data = hostile.running(birds.acts[act])["a joblib file"]
    done = subprocess.run(
        [sys.executable, "-c", "import joblib, sys; joblib.load(sys.stdin.buffer)"],
        input=data,
        capture_output=True,
        check=False,
    )
    assert birds.awake() == {{"program": "file", "shell": "file"}.get(act, act)}, done.stderr


@pytest.mark.parametrize("form", hostile.running(""))
def test_code_in_a_pickle_reaches_nothing(site: Site, birds: Canaries, form: str) -> None:
    data = hostile.running(every_act(birds))[form]
    with site.undisturbed(), suppress(IntakeRefused):
        site.take_in(data, ANY)
    assert not birds.awake()


@pytest.mark.parametrize("act", ["file", "network", "abstract", "process", "program", "shell"])
def test_code_that_hides_behind_an_honest_model_reaches_nothing(
    site: Site, birds: Canaries, act: str
) -> None:
    quiet = f"try:\n {birds.acts[act]}\nexcept Exception: pass"
    data = hostile.joblib_bytes(hostile.RunsAndIs(quiet))
    with site.undisturbed(), suppress(IntakeFailed):
        assert site.take_in(data, ANY).contents.source_format == "joblib"
    assert not birds.awake()


@pytest.mark.parametrize("form", hostile.running(""))
def test_a_pickle_is_not_even_opened_for_who_may_not(
    site: Site, birds: Canaries, form: str
) -> None:
    said = refusal(site, hostile.running(every_act(birds))[form], ANY - {"joblib"})
    assert "joblib, which was not asked for: opening one runs" in said
    assert not birds.awake()


MEDDLING = {
    "kills its parent": "import os; os.kill(os.getppid(), 9)",
    "kills everybody": "import os; os.kill(-1, 9)",
    "ends": "import os; os._exit(0)",
    "aborts": "import os; os.abort()",
    "crashes": "import ctypes; ctypes.string_at(1)",
    "loops": "while True: pass",
    "sleeps": "import time; time.sleep(1000)",
    "forks": "import os\nwhile True: os.fork()",
    "takes memory": "held = []\nwhile True: held.append(bytearray(10**7))",
    "recurses": "def f(): f()\nimport sys; sys.setrecursionlimit(10**9); f()",
    "talks": "import os\nfor _ in range(10_000): os.write(2, b'x' * 10_000)",
    "writes everywhere": "import os\nfor d in range(64):\n try: os.write(d, b'x' * 1000)\n"
    " except OSError: pass",
    "closes everything": "import os; os.closerange(0, 100)",
    "reads its parent": "open('/proc/%d/mem' % __import__('os').getppid(), 'rb').read()",
    "traces": "import ctypes; ctypes.CDLL(None).ptrace(16, __import__('os').getppid(), 0, 0)",
    "uses io_uring": "import ctypes; ctypes.CDLL(None).syscall(425, 1, 0)",
    "raises what nobody expects": "raise BaseException('x' * 10**6)",
}


ENDLESS = {"loops", "sleeps"}  # last until the deadline, whichever it is


@pytest.mark.parametrize("deed", MEDDLING)
def test_a_process_that_opens_a_file_meddles_with_nobody(site: Site, deed: str) -> None:
    data = hostile.joblib_bytes(hostile.Runs(MEDDLING[deed]))
    with site.undisturbed(), pytest.raises(IntakeRefused) as refused:
        site.take_in(data, ANY, seconds=2.0 if deed in ENDLESS else 5.0)
    assert len(str(refused.value)) < 3_000
    assert not LEAKS.search(str(refused.value))
    assert site.take_in(skops_bytes(hostile.HONEST), ANY).contents.engine


def test_what_an_opened_pickle_says_for_itself_is_checked_as_a_file_is(
    site: Site, birds: Canaries
) -> None:
    forged = hostile.misusing_skops(f"echo ran > {birds.file}")["a function"]
    # The workshop's connection is in a frame below.
    code = (
        "import socket, sys\n"
        "from models.hosting.messages import Message, send\n"
        "frame, found = sys._getframe(), []\n"
        "while frame:\n"
        " for each in list(frame.f_locals.values()):\n"
        "  if isinstance(each, socket.socket): found.append(each)\n"
        " frame = frame.f_back\n"
        f"send(found[0], Message('converted', {{}}, ({forged!r},)))\n"
    )
    assert "os.system" in refusal(site, hostile.joblib_bytes(hostile.Runs(code)))
    assert not birds.awake()


# Row 3: file names within the model


@pytest.mark.parametrize("form", hostile.naming_files(""))
def test_a_file_that_a_model_names_is_not_opened(site: Site, birds: Canaries, form: str) -> None:
    data = hostile.naming_files(str(birds.secret))[form]
    said = refusal(site, data)
    assert birds.secret.read_text() not in said


# Rows 5 and 9: archives that escape, files that hide what they are


@pytest.mark.parametrize("form", hostile.escaping(""))
def test_an_archive_writes_nowhere(site: Site, birds: Canaries, form: str) -> None:
    code = f"open({str(birds.file)!r}, 'w')"
    before = set(birds.folder.parent.iterdir())
    refusal(site, hostile.escaping(code)[form])
    assert not birds.awake()
    assert not {path.name for path in set(birds.folder.parent.iterdir()) - before} & {"canary"}


@pytest.mark.parametrize("form", hostile.evading(""))
def test_a_hidden_pickle_is_not_opened(site: Site, birds: Canaries, form: str) -> None:
    refusal(site, hostile.evading(every_act(birds))[form], ANY - {"joblib"})
    assert not birds.awake()


def test_a_pickle_behind_a_model_is_not_looked_at(site: Site, birds: Canaries) -> None:
    data = skops_bytes(hostile.HONEST) + hostile.running(every_act(birds))["a pickle"]
    prepared = site.take_in(data, frozenset({"skops"}))
    assert b"canary" not in prepared.blobs["model"]
    assert not birds.awake()


# Row 6: data outside of the file


@pytest.mark.parametrize("outside", OUTSIDE, ids=lambda outside: outside.name)
def test_a_graph_reads_no_file_of_the_machine(site: Site, outside: Hostile) -> None:
    honest = to_onnx(hostile.HONEST, hostile.ROWS, options={"zipmap": False}).SerializeToString()
    assert outside.says in refusal(site, outside.make(honest))


# Row 8: around the safe loader


@pytest.mark.parametrize("form", hostile.misusing_skops(""))
def test_a_skops_file_calls_nothing(site: Site, birds: Canaries, form: str) -> None:
    data = hostile.misusing_skops(f"echo ran > {birds.file}")[form]
    assert "refused" in refusal(site, data)
    assert not birds.awake()


@pytest.mark.parametrize("form", hostile.misusing_skops(""))
def test_where_it_would_be_trusted_it_reaches_nothing(
    open_site: Site, birds: Canaries, form: str
) -> None:
    data = hostile.misusing_skops(f"echo ran > {birds.file}")[form]
    version = open_site.shelf.file(data, columns=4)
    with open_site.undisturbed(), suppress(ArtefactBroken, HostCrashed, PredictionFailed):
        open_site.executor.answer(version, "predict", hostile.ROWS, seconds=10)
    assert not birds.awake()
    assert open_site.serves()


# Row 10: bombs


@pytest.mark.parametrize("form", hostile.BOMBS)
def test_a_bomb_is_refused(site: Site, form: str) -> None:
    refusal(site, hostile.BOMBS[form]())


def test_given_rows_that_claim_to_be_many_are_refused(site: Site) -> None:
    rows = hostile.claiming(100_000_000_000)
    with site.undisturbed(), pytest.raises(GivenRowsRefused):
        site.take_in(skops_bytes(hostile.HONEST), ANY, rows=rows)


def test_a_model_that_takes_all_memory_when_it_answers_fails_alone(site: Site) -> None:
    wide = np.ones((4, 60))
    version = site.shelf.file(
        skops_bytes(PolynomialFeatures(7).fit(wide)),
        columns=60,
        methods={"transform": Output("number", 1)},
    )
    with site.undisturbed(), pytest.raises((PredictionFailed, HostCrashed)):
        site.executor.answer(version, "transform", wide, seconds=30)
    assert site.serves()


# Row 11: memory corruption, endless loops


@pytest.mark.parametrize("form", hostile.CORRUPTED)
def test_a_model_that_would_corrupt_memory_is_refused(site: Site, form: str) -> None:
    with site.undisturbed(), pytest.raises(FormatRefused) as refused:
        site.take_in(hostile.CORRUPTED[form](), ANY)
    assert refused.value.problem


@pytest.mark.parametrize("form", hostile.CORRUPTED)
def test_where_it_would_be_taken_it_ends_its_own_host_alone(open_site: Site, form: str) -> None:
    method = "score_samples" if form == "the place of a random state" else "predict"
    version = _version(open_site, hostile.CORRUPTED[form](), method)
    ending = DeadlineExceeded if form == "a circle in a tree" else HostCrashed
    assert TABLE[ending].status in (503, 504)
    seconds = 2 if ending is DeadlineExceeded else 10
    with open_site.undisturbed(), pytest.raises(ending):
        open_site.executor.answer(version, method, hostile.ROWS, seconds=seconds)
    assert open_site.serves()  # a new host, for another version of the same tenant
    assert open_site.incidents.recorded


def _version(site: Site, data: bytes, method: str) -> Version:
    output = Output("number" if method == "score_samples" else "integer")
    return site.shelf.file(data, columns=4, methods={method: output})


# Row 18: another file than the one that is on record


def test_a_file_that_was_exchanged_or_put_back_does_not_open(site: Site, tmp_path: Path) -> None:
    artefacts, sealer = Artefacts(FolderStore(tmp_path)), Sealer((bytes(32),))
    older, newer, theirs = (
        site.shelf.version(LinearRegression().fit(hostile.ROWS, hostile.ROWS[:, n]), tenant=tenant)
        for n, tenant in enumerate(("tnt_acme", "tnt_acme", "tnt_globex"))
    )
    paths = []
    for version in (newer, older, theirs):
        known = set(tmp_path.rglob("*"))
        artefacts.put(version, MODEL, site.shelf.fetch(version), sealer)
        paths += [path for path in set(tmp_path.rglob("*")) - known if path.is_file()]
    assert artefacts.open(newer, MODEL, sealer) == site.shelf.fetch(newer)
    for other in paths[1:]:
        paths[0].write_bytes(other.read_bytes())
        with pytest.raises(ArtefactBroken, match="seal is broken"):
            artefacts.open(newer, MODEL, sealer)


def test_every_host_and_intake_was_confined_by_every_layer(site: Site, open_site: Site) -> None:
    for each in (site, open_site):
        assert each.client.status()["sandbox"]["level"] == "full"
