"""Keras files and SavedModels: the suite of every format, in few tests: TensorFlow is slow."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from models.formats import recognise_bytes
from tests.contracts.opening import ROOT, Opener, Sample, assert_answers, assert_refused
from tests.contracts.tensorflow_files import read_samples
from tests.models.files import archive_of, members_of

QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "TF_ENABLE_ONEDNN_OPTS": "0"}
HARMFUL = {"lambda.keras", "reads.zip"}
MUTATIONS = 8
Samples = dict[str, Sample]
Config = dict[str, Any]


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    """Files that Keras and TensorFlow wrote, by name."""
    folder = tmp_path_factory.mktemp("tensorflow")
    subprocess.run(
        [sys.executable, "-P", "-m", "tests.contracts.tensorflow_files", str(folder)],
        cwd=ROOT,
        env=QUIET | {"PYTHONPATH": str(ROOT), "HOME": str(folder)},
        check=True,
        capture_output=True,
        timeout=240,
    )
    return {sample.name: sample for sample in read_samples(folder)}


@pytest.fixture(scope="module")
def opener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opener]:
    """Opens files in sandboxed processes that have TensorFlow."""
    opener = Opener("tensorflow", tmp_path_factory.mktemp("opened"))
    yield opener
    opener.close()


def test_bytes_of_tensorflow_are_known_as_one_format(samples: Samples) -> None:
    for sample in samples.values():
        found = recognise_bytes(sample.data)
        assert found is not None, sample.name
        assert found.name == sample.format


def test_files_of_tensorflow_itself_are_opened_and_answered_alike(
    samples: Samples, opener: Opener
) -> None:
    for name in samples.keys() - HARMFUL:
        sample = samples[name]
        assert_answers(opener.open(sample.format, sample.data, sample.columns), sample)


def test_chains_of_dense_layers_are_answered_without_tensorflow(
    samples: Samples, opener: Opener
) -> None:
    for name in ("dense.keras", "chain.keras"):
        sample = samples[name]
        answered = opener.open("keras", sample.data, sample.columns)
        own, compiled = answered["answers"]["predict"], answered["layers"]
        np.testing.assert_allclose(compiled, own, rtol=1e-5, atol=1e-6)


def test_what_is_no_chain_of_dense_layers_is_left_to_tensorflow(
    samples: Samples, opener: Opener
) -> None:
    for name, says in (("image", "more than one row"), ("two", "more than"), ("skip", "one chain")):
        sample = samples[f"{name}.keras"]
        assert says in opener.open("keras", sample.data, sample.columns)["layers"]


@pytest.mark.parametrize("name", ["dense.keras", "dense.zip", "dense.tar"])
def test_a_cut_or_altered_file_ends_no_process(name: str, samples: Samples, opener: Opener) -> None:
    sample, random = samples[name], np.random.default_rng(5)
    for cut in (0.3, 0.9):
        data = sample.data[: int(len(sample.data) * cut)]
        assert_refused(opener.open(sample.format, data, sample.columns))
    for _ in range(MUTATIONS):
        altered = bytearray(sample.data)
        for at in random.integers(0, len(altered), 6).tolist():
            altered[at] = int(random.integers(0, 256))
        answered = opener.open(sample.format, bytes(altered), sample.columns)
        assert answered["outcome"] != "died", answered


def test_a_file_of_another_format_is_refused(samples: Samples, opener: Opener) -> None:
    for form, name in (("keras", "dense.zip"), ("savedmodel", "dense.keras")):
        sample = samples[name]
        assert_refused(opener.open(form, sample.data, sample.columns))


def _layer(config: Config) -> Config:
    layer: Config = config["config"]["layers"][-1]
    return layer


def _another_module(config: Config) -> None:
    _layer(config).update(module="os", class_name="system", config={"command": "id"})


def _another_function(config: Config) -> None:
    _layer(config)["config"]["activation"] = {
        "module": "keras.src.utils.file_utils",
        "class_name": "function",
        "config": "get_file",
        "registered_name": "function",
    }


def _no_safety(config: Config) -> None:
    _layer(config)["config"]["activation"] = "keras.config>enable_unsafe_deserialization"


def _own_class(config: Config) -> None:
    _layer(config)["registered_name"] = "Evil>Dense"


def _saved_model_layer(config: Config) -> None:
    _layer(config).update(class_name="TFSMLayer", config={"filepath": "/tmp/model"})  # noqa: S108


def _lambda_value(config: Config) -> None:
    _layer(config)["config"]["activation"] = {
        "class_name": "__lambda__",
        "config": {"value": "4wEAAAAAAAAA"},
    }


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_another_module, "not Keras' own"),
        (_another_function, "'function'"),
        (_no_safety, "unsafe_deserialization"),
        (_own_class, "'Evil>Dense'"),
        (_saved_model_layer, "'TFSMLayer'"),
        (_lambda_value, "__lambda__"),
    ],
)
def test_a_configuration_that_names_code_is_refused(
    change: Callable[[Config], None], says: str, samples: Samples, opener: Opener
) -> None:
    sample = samples["dense.keras"]
    members = members_of(sample.data)
    config = json.loads(members["config.json"])
    change(config)
    altered = archive_of(members | {"config.json": json.dumps(config).encode()})
    assert says in assert_refused(opener.open("keras", altered, sample.columns))


def test_layers_and_operators_that_reach_outside_are_refused(
    samples: Samples, opener: Opener
) -> None:
    for name, says in (("lambda.keras", "Lambda"), ("reads.zip", "ReadFile")):
        sample = samples[name]
        reason = assert_refused(opener.open(sample.format, sample.data, sample.columns))
        assert says in reason


def test_archives_with_other_members_are_refused(samples: Samples, opener: Opener) -> None:
    keras, graph = samples["dense.keras"], samples["dense.zip"]
    for name in ("../outside", "assets/words.txt", "model.weights.npz"):
        altered = archive_of(members_of(keras.data) | {name: b"x"})
        assert name in assert_refused(opener.open("keras", altered, keras.columns))
    for name in ("exported/../../outside", "/etc/cron.d/x", "exported/variables/x"):
        altered = archive_of(members_of(graph.data) | {name: b"x"})
        assert "no part of a SavedModel" in assert_refused(
            opener.open("savedmodel", altered, graph.columns)
        )
    linked = _with_link(samples["dense.tar"].data)
    assert "link" in assert_refused(opener.open("savedmodel", linked, graph.columns))


def _with_link(data: bytes) -> bytes:
    buffer = io.BytesIO(data)
    with tarfile.open(fileobj=buffer, mode="a") as archive:
        member = tarfile.TarInfo("exported/assets/words")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    return buffer.getvalue()
