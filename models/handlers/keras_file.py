"""Keras files: rebuilt from listed layers only, in safe mode, and run by TensorFlow."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any, Final

import keras
import orjson
import tensorflow as tf
from keras.src.saving import saving_lib

from models.errors import FormatRefused
from models.formats import FORMATS
from models.handlers import MOST_OPENED_BYTES, Kept, Opened
from models.runtimes.tensorflow_models import TensorFlowModel, check_outputs, input_of_tensor
from models.soundness.archives import check_archive
from models.soundness.keras_configs import read_keras_config

FORMAT: Final = FORMATS["keras"]
MEMBERS: Final = frozenset({"metadata.json", "config.json", "model.weights.h5"})
MOST_METADATA_BYTES: Final = 64 * 1024
# What float32 in another order differs by at rows of all sizes; ordinary rows differ by 1e-6.
TOLERANCE: Final = 1e-4


class KerasModel(TensorFlowModel):
    """A Keras model; `model` is Keras' own."""

    def __init__(self, model: Any) -> None:
        self.model = model
        specs = [
            tf.TensorSpec(tensor.shape, tensor.dtype, name=tensor.name) for tensor in model.inputs
        ]
        inputs = [input_of_tensor(spec.name, spec) for spec in specs]
        function = _function(model, specs)
        check_outputs(function.outputs)
        nbytes = sum(weight.numpy().nbytes for weight in model.weights)
        super().__init__(inputs, function, nbytes=nbytes)


class KerasFile:
    """Files that Model.save wrote, in Keras' own format since version 3."""

    def open(self, data: bytes) -> Opened:
        """Check the archive and its configuration, then let Keras rebuild the model."""
        sizes = check_archive(data, most_bytes=MOST_OPENED_BYTES)
        if sizes.keys() != MEMBERS:
            odd = sorted(sizes.keys() ^ MEMBERS)[0]
            raise FormatRefused(f"its archive holds or lacks {odd[:80]!r}")
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            config = orjson.dumps(read_keras_config(archive.read("config.json")))
            saved = _version(archive, sizes)
            members = {name: archive.read(name) for name in MEMBERS} | {"config.json": config}
        keras.config.disable_interactive_logging()
        model = _load(members)
        if not model.built or not model.inputs:
            raise FormatRefused("it does not say what it takes", "give its first layer a shape")
        return Opened(KerasModel(model), saved, Kept(FORMAT.name, data, TOLERANCE))


def _load(members: Mapping[str, bytes]) -> Any:
    """Let Keras read what was checked, and nothing else that the file may hold."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    try:
        # Written out though it is the default: what a file names is never called.
        return saving_lib._load_model_from_fileobj(
            buffer, custom_objects=None, compile=False, safe_mode=True
        )
    except Exception as error:
        raise FormatRefused(f"Keras does not take it: {error}"[:300]) from error


def _function(model: Any, specs: Sequence[Any]) -> Any:
    structure = getattr(model, "input", model.inputs[0])  # a model may take lists and dictionaries

    def answer(*tensors: Any) -> list[Any]:
        given = keras.tree.pack_sequence_as(structure, list(tensors))
        return list(keras.tree.flatten(model(given, training=False)))

    try:
        traced = tf.function(answer, input_signature=specs, autograph=False, jit_compile=False)
        return traced.get_concrete_function()
    except Exception as error:
        raise FormatRefused(f"it cannot be asked: {error}"[:300]) from error


def _version(archive: zipfile.ZipFile, sizes: dict[str, int]) -> tuple[str, ...]:
    """The version that saved the file, if it is another major one: Keras promises no more."""
    if sizes["metadata.json"] > MOST_METADATA_BYTES:
        raise FormatRefused("its metadata are too long")
    try:
        saved = str(orjson.loads(archive.read("metadata.json"))["keras_version"])
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise FormatRefused("its metadata do not name the version of Keras") from error
    return () if saved.partition(".")[0] == keras.__version__.partition(".")[0] else (saved[:20],)
