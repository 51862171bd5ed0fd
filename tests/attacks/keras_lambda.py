"""A program that has Keras write models that run code; it needs TensorFlow, its caller does not."""

from __future__ import annotations

import sys
from pathlib import Path


def main(path: Path, canary: str) -> None:
    """Write a model with a layer of Python that would write a file when it is rebuilt or asked."""
    import keras

    written = eval(f"lambda rows: (open({canary!r}, 'w').write('ran'), rows)[1]")  # noqa: S307
    code = keras.layers.Lambda(written, output_shape=(4,))
    model = keras.Sequential([keras.Input((4,)), code])
    model(keras.ops.ones((1, 4)))
    Path(canary).unlink()  # so it does write it
    model.save(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
