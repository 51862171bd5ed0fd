"""What the parent of hosts does before it forks, so that no host needs a file afterwards.

In the sandbox no file opens, so a module that is imported late is a module that is missing.
Libraries import late, and in places that depend on the data; so all their modules are imported
here, and small models are run the ways in which hosts run theirs.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from typing import Any, Final

from models.hosting.surroundings import LIBRARIES

# Imported with everything below them; those that are not installed are left out.
WHOLE: Final[Mapping[str, tuple[str, ...]]] = {
    "sklearn": (
        "encodings",
        "joblib",
        "lightgbm",
        "narwhals",
        "numpy",
        "onnx",
        "onnxruntime.capi",
        "pandas",
        "scipy",
        "skl2onnx",
        "sklearn",
        "skops",
        "treelite",
        "xgboost",
    ),
    "tensorflow": (
        "encodings",
        "h5py",
        "keras.src.export",
        "keras.src.layers",
        "keras.src.models",
        "keras.src.saving",
        "numpy",
        "tensorflow.python.autograph",
        "tensorflow.python.checkpoint",
        "tensorflow.python.data",
        "tensorflow.python.eager",
        "tensorflow.python.framework",
        "tensorflow.python.ops",
        "tensorflow.python.saved_model",
        "tensorflow.python.trackable",
        "tensorflow.python.training",
    ),
}
# Modules that are for developers, other systems, or programs of their own.
PASSED_OVER: Final = re.compile(
    r"\.(_?tests?|_?testing|\w*conftest|setup|__main__|f2py|distutils|\w*bench\w*|_?cli|backend"
    r"|loky|_precompute|_\w*testutils|_test_\w+|gen_doc|card|this|_build_utils|_pyinstaller"
    r"|_?dask|_?spark\w*|_?duckdb|_?ibis|_?polars|_?sqlframe|_numba|_matplotlib|cupy|torch"
    r"|antigravity|libonnxruntime\w*)(\.|$)"
)
# Libraries take these up where they are: they draw, or compute elsewhere, and look for files when
# they are first used.
LEFT_OUT: Final = ("dask", "distributed", "matplotlib", "optuna", "ray")
SINGLE: Final = (
    "decimal",
    "fractions",
    "linecache",
    "pyarrow.compute",
    "pyarrow.csv",
    "pyarrow.pandas_compat",
    "pyarrow.parquet",
    "pyarrow.vendored.version",
    "tracemalloc",
    "traceback",
    "unicodedata",
    "uuid",
    "zoneinfo",
)


# What TensorFlow does not start without. Nothing reads them once the filter is closed.
READ_AT_START: Final = ("/dev/urandom", "/proc/self/cmdline")


def leave_out() -> None:
    """Have libraries find nothing of what no model is answered with."""
    for name in LEFT_OUT:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]


def warm(flavour: str = "sklearn") -> None:
    """Import all that a host of this flavour may need, and run its libraries once.

    It starts no thread: a fork would not have it. So TensorFlow is run by `start_threads` only.
    """
    os.environ.update(LIBRARIES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for package in WHOLE[flavour]:
            import_whole(package)
        for name in SINGLE:
            _import(name)
        REHEARSALS[flavour]()


def start_threads() -> None:
    """Have TensorFlow start its threads, if it is there."""
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is not None:
        once: Any = tensorflow.function(lambda number: number + 1, autograph=False)
        once(tensorflow.constant(1.0))


def import_whole(name: str) -> None:
    """Import a package with every module in it that can be imported here."""
    if find_spec(name.partition(".")[0]) is None:
        return
    package = _import(name)
    path: Iterable[str] = getattr(package, "__path__", ())
    for found in pkgutil.iter_modules(path, f"{name}."):
        if PASSED_OVER.search(found.name.removeprefix(name)):
            continue
        if found.ispkg:
            import_whole(found.name)
        else:
            _import(found.name)


def _import(name: str) -> object:
    try:
        return importlib.import_module(name)
    except Exception:  # noqa: BLE001 - an optional part of a library, without what it needs
        return None


def _rehearse_sklearn() -> None:
    """Run what looks for modules, thread pools or processors when it is first used."""
    ensemble, pipeline = (importlib.import_module(f"sklearn.{n}") for n in ("ensemble", "pipeline"))
    preprocessing = importlib.import_module("sklearn.preprocessing")
    neighbours = importlib.import_module("sklearn.neighbors")
    compose = importlib.import_module("sklearn.compose")
    frame = importlib.import_module("pandas").DataFrame(
        {"number": [0.0, 1.0, None, 3.0] * 4, "text": ["a", "b", None, "a"] * 4}
    )
    mixed = compose.make_column_transformer(
        (preprocessing.OneHotEncoder(handle_unknown="ignore"), ["text"]), remainder="passthrough"
    )
    boosted = ensemble.HistGradientBoostingClassifier(max_iter=2, min_samples_leaf=1)
    answers = [0, 1, 0, 1] * 4
    numbers = frame[["number"]].fillna(0.0)
    for model, features in (
        (pipeline.make_pipeline(mixed, boosted), frame),
        (neighbours.KNeighborsClassifier(1), numbers),
        (ensemble.RandomForestClassifier(2), numbers),
        (preprocessing.PolynomialFeatures().set_output(transform="pandas"), numbers),
    ):
        _rehearse(model.fit(features, answers), features)


def _rehearse(model: Any, features: object) -> None:
    skops = importlib.import_module("skops.io")
    saved = skops.dumps(model)
    opened = skops.loads(saved, trusted=skops.get_untrusted_types(data=saved))
    for method in ("predict", "predict_proba", "transform"):
        if hasattr(opened, method):
            getattr(opened, method)(features)
    repr(opened)


def _import_tensorflow() -> None:
    _import("tensorflow")


REHEARSALS: Final[Mapping[str, Callable[[], None]]] = {
    "sklearn": _rehearse_sklearn,
    "tensorflow": _import_tensorflow,
}
