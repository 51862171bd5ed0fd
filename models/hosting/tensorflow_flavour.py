"""What the parent of TensorFlow's hosts does before it forks.

TensorFlow starts its threads and reads about its machine when it is first asked to compute. That
must come after the fork, since threads do not survive one, and in the sandbox, where files do not
open. So here it is imported, and brought to read early the few things it cannot do without.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Final

ENVIRONMENT: Final = {
    "CUDA_VISIBLE_DEVICES": "-1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",  # or results depend on which processor it is
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
}
LIBRARY: Final = "libtensorflow_framework.so.2"
# Its generators of random numbers, each of which opens /dev/urandom when it is first asked.
GENERATORS: Final = ("_ZN3tsl6random5New64Ev", "_ZN3tsl6random16ThreadLocalNew64Ev")
ANY_OPERATOR: Final = "MatMul"


def warm() -> None:
    """Import TensorFlow and Keras, and start nothing of them."""
    os.environ.update(ENVIRONMENT)
    import encodings.cp437  # noqa: F401  zipfile needs it for archives without UTF-8 names

    import keras
    import tensorflow as tf
    from tensorflow.python.framework import kernels

    import models.handlers.keras_file
    import models.handlers.savedmodel_file  # noqa: F401

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.get_logger().setLevel("ERROR")
    keras.config.disable_interactive_logging()
    # The first look at its kernels asks where the program lies, and ends it if that cannot be told.
    kernels.get_registered_kernels_for_op(ANY_OPERATOR)
    _seed(Path(tf.__file__).parent / LIBRARY)


def _seed(library: Path) -> None:
    loaded = ctypes.CDLL(str(library))
    for name in GENERATORS:
        getattr(loaded, name)()
