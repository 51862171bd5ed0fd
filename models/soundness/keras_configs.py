"""The configuration within a Keras file: only layers that are known, and nothing that can be run.

Keras rebuilds a model by importing what the file names, and files have switched off its own safe
mode (CVE-2025-1550, CVE-2025-9906). So nothing is let through here that is not listed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from models.errors import FormatRefused

MOST_BYTES: Final = 32 * 1024**2
MOST_VALUES: Final = 2_000_000
PACKAGE: Final = re.compile(r"keras(\.src)?(\.[a-z_0-9]+)*")
# Besides layers and models: what a file may name, by the module that has it.
PARTS: Final = re.compile(
    r"keras(\.src)?\.(initializers|regularizers|constraints|dtype_policies)(\.[a-z_0-9]+)*"
)
PART: Final = re.compile(r"[A-Z][A-Za-z0-9]{0,60}")
MODELS: Final = frozenset({"Functional", "Model", "Sequential"})
VALUES: Final = frozenset({"__keras_tensor__", "DTypePolicy", "FloatDTypePolicy"})
LAYERS: Final = frozenset(
    """
    Activation ActivityRegularization Add AdditiveAttention AlphaDropout Attention Average
    AveragePooling1D AveragePooling2D AveragePooling3D BatchNormalization Bidirectional
    CategoryEncoding CenterCrop Concatenate Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D
    Conv3DTranspose Cropping1D Cropping2D Cropping3D Dense DepthwiseConv1D DepthwiseConv2D
    Discretization Dot Dropout EinsumDense ELU Embedding Flatten GaussianDropout GaussianNoise
    GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalMaxPooling1D
    GlobalMaxPooling2D GlobalMaxPooling3D GroupNormalization GroupQueryAttention GRU GRUCell
    Identity InputLayer LayerNormalization LeakyReLU LSTM LSTMCell Masking MaxPooling1D
    MaxPooling2D MaxPooling3D Maximum Minimum MultiHeadAttention Multiply Normalization Permute
    PReLU ReLU RepeatVector Rescaling Reshape Resizing RMSNormalization RNN SeparableConv1D
    SeparableConv2D SimpleRNN SimpleRNNCell Softmax SpatialDropout1D SpatialDropout2D
    SpatialDropout3D SpectralNormalization StackedRNNCells Subtract TimeDistributed
    UnitNormalization UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D
    ZeroPadding3D
    """.split()  # noqa: SIM905  a table of words
)
TRAINING: Final = frozenset({"compile_config"})
# Names that only a file which is up to no good has a use for.
SUSPICIOUS: Final = re.compile(r"unsafe_deserialization|__lambda__|__import__|safe_mode|getattr")


def read_keras_config(data: bytes) -> Mapping[str, Any]:
    """Check a configuration; raises FormatRefused naming what it holds that it may not.

    How the model was trained is left out: nothing here needs it, and it may name anything.
    """
    if len(data) > MOST_BYTES:
        raise FormatRefused(f"its configuration has more than {MOST_BYTES} bytes")
    try:
        config = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise FormatRefused("its configuration is no JSON") from error
    if not isinstance(config, dict) or config.get("class_name") not in MODELS:
        raise FormatRefused("it is neither a Sequential nor a Functional model")
    for value in _values(config):
        if isinstance(value, str):
            _check_text(value)
        elif isinstance(value, dict):
            _check_node(value)
    return config


def _forget_training(node: dict[str, Any]) -> None:
    for key in TRAINING & node.keys():
        del node[key]


def _values(config: Any) -> Iterator[Any]:
    waiting, seen = [config], 0
    while waiting:
        value = waiting.pop()
        seen += 1
        if seen > MOST_VALUES:
            raise FormatRefused("its configuration is too long")
        if isinstance(value, dict):
            _forget_training(value)
        yield value
        if isinstance(value, dict):
            waiting.extend(value)
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _check_text(text: str) -> None:
    if SUSPICIOUS.search(text):
        raise FormatRefused(f"its configuration holds {text[:80]!r}")


def _check_node(node: Mapping[str, Any]) -> None:
    """A node names a class; whatever does so in any way must be one of the lists."""
    if not node.keys() & {"class_name", "module", "registered_name"}:
        return
    name, module = node.get("class_name"), node.get("module")
    registered = node.get("registered_name")
    if registered is not None and registered != name:
        raise FormatRefused(f"it holds {str(registered)[:80]!r}, which is not Keras' own")
    if not isinstance(name, str) or not (
        module is None or (isinstance(module, str) and PACKAGE.fullmatch(module))
    ):
        raise FormatRefused(f"it holds something of {str(module)[:80]!r}, which is not Keras' own")
    part = isinstance(module, str) and PARTS.fullmatch(module) and PART.fullmatch(name)
    if not part and name not in LAYERS | MODELS | VALUES:
        raise FormatRefused(
            f"it holds {name[:80]!r}, which is not among the layers that are taken",
            "leave out layers that run code, read files or hold texts",
        )
