"""A parent of hosts whose checks of model files are switched off: only the sandbox is left."""

from __future__ import annotations

import json
import sys
from typing import Any

from models.hosting import parent
from models.hosting.births import Craft


def _disarm(flavour: str) -> None:
    if flavour == "tensorflow":
        from keras.src.saving import saving_lib

        from models.handlers import keras_file

        load = saving_lib._load_model_from_fileobj

        def load_anything(*arguments: Any, **options: Any) -> Any:
            return load(*arguments, **options | {"safe_mode": False})

        setattr(keras_file, "read_keras_config", json.loads)  # noqa: B010
        saving_lib._load_model_from_fileobj = load_anything
        return
    from models.handlers import skops_file

    for name in ("check_archive", "_check_members", "_check_matrices", "_check_schema"):
        setattr(skops_file, name, _nothing)
    for name in ("_refuse_untrusted", "refuse_unsound"):
        setattr(skops_file, name, _nothing)


def _nothing(*_arguments: Any, **_options: Any) -> Any:
    return {}


def _prepare(flavour: str) -> None:
    parent._prepare(flavour)
    _disarm(flavour)


if __name__ == "__main__":
    craft = Craft(_prepare, parent._open_model, parent._serve_workshop)
    parent.main(sys.argv[1:], craft)
