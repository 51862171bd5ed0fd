"""Keras files that run code, or switch off what keeps them from it.

After CVE-2025-1550, CVE-2025-9906 and CVE-2025-12060.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from models.errors import ArtefactBroken, FormatRefused, HostCrashed, PredictionFailed
from models.signature import Output
from models.versions import Version
from tests.attacks import hostile_models as hostile
from tests.attacks.canaries import Canaries, canaries
from tests.attacks.site import Site, guarded, opened, unguarded
from tests.models.files import archive_of, members_of

ROOT = Path(__file__).resolve().parent.parent.parent
KERAS = frozenset({"keras"})
pytestmark = pytest.mark.skipif(
    find_spec("tensorflow") is None, reason="the extra tensorflow is not installed"
)


@pytest.fixture(scope="module")
def birds() -> Iterator[Canaries]:
    with canaries() as birds:
        yield birds


@pytest.fixture(scope="module")
def running(birds: Canaries, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file with a layer of Python."""
    path = tmp_path_factory.mktemp("keras") / "model.keras"
    subprocess.run(
        [sys.executable, "-P", "-m", "tests.attacks.keras_lambda", str(path), str(birds.file)],
        env={"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"},
        check=True,
        capture_output=True,
    )
    birds.silence()
    return path.read_bytes()


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with opened(guarded("tensorflow")) as site:
        yield site


@pytest.fixture(scope="module")
def open_site() -> Iterator[Site]:
    with opened(unguarded("tensorflow")) as site:
        yield site


def _as_it_is(_layer: dict[str, Any]) -> None:
    pass


def _unsafe(layer: dict[str, Any]) -> None:
    layer["config"]["safe_mode"] = False


def _names(module: str, name: str, **config: Any) -> Callable[[dict[str, Any]], None]:
    def change(layer: dict[str, Any]) -> None:
        layer.update(module=module, class_name=name, config=config, registered_name=None)

    return change


FORMS: dict[str, Callable[[dict[str, Any]], None]] = {
    "a layer of Python": _as_it_is,
    "a layer that says it is safe": _unsafe,
    "a function of the system": _names("os", "system", command="echo ran"),
    "what starts processes": _names("subprocess", "Popen", args=["id"]),
    "what switches safety off": _names("keras.config", "enable_unsafe_deserialization"),
    "what fetches files": _names(
        "keras.utils", "get_file", fname="x", origin="file:///etc/passwd", extract=True
    ),
}


def changed(data: bytes, form: str) -> bytes:
    """A Keras file whose layer was changed."""
    members = members_of(data)
    config = json.loads(members["config.json"])
    FORMS[form](config["config"]["layers"][-1])
    return archive_of(members | {"config.json": json.dumps(config).encode()})


@pytest.mark.parametrize("form", FORMS)
def test_it_is_refused(site: Site, birds: Canaries, running: bytes, form: str) -> None:
    with pytest.raises(FormatRefused, match=r"it holds|its configuration holds"):
        site.take_in(changed(running, form), KERAS)
    assert not birds.awake()


@pytest.mark.parametrize("form", FORMS)
def test_where_it_would_be_trusted_it_reaches_nothing(
    open_site: Site, birds: Canaries, running: bytes, form: str
) -> None:
    version = _version(open_site, changed(running, form))
    with pytest.raises((ArtefactBroken, HostCrashed, PredictionFailed)) as ended:
        open_site.executor.answer(version, "predict", hostile.ROWS, seconds=60)
    if form == "a layer of Python":
        assert "it cannot be asked: Exception en" in str(ended.value)  # it has run, and failed
    assert not birds.awake()


def _version(site: Site, data: bytes) -> Version:
    methods = {"predict": Output("number", 4)}
    version = site.shelf.file(data, columns=4, methods=methods, format="keras")
    contents = replace(version.manifest.contents, flavour="tensorflow")
    return Version(version.id, replace(version.manifest, contents=contents))
