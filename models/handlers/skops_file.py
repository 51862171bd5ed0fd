"""skops files: estimators as a schema and arrays, rebuilt from named and trusted types only."""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from typing import Any, Final

import orjson
import skops.io
from sklearn.exceptions import InconsistentVersionWarning
from skops.io.exceptions import UntrustedTypesFoundException

from models.archives import check_archive
from models.errors import FormatRefused
from models.handlers import MOST_OPENED_BYTES, Opened
from models.soundness import refuse_unsound

ZIP: Final = b"PK\x03\x04"
SCHEMA: Final = "schema.json"
MOST_SCHEMA_BYTES: Final = 256 * 1024**2
MEMBER: Final = re.compile(r"schema\.json|[0-9]{1,24}\.npy")
PACKAGES: Final = frozenset({"builtins", "collections", "numpy", "scipy", "sklearn"})
# What skops itself does not trust, and is safe once models.soundness has looked at it, or holds
# nothing that native code follows blindly.
TRUSTED: Final = (
    "sklearn._loss.loss.HalfTweedieLossIdentity",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
    "sklearn.gaussian_process.kernels.CompoundKernel",
    "sklearn.gaussian_process.kernels.ConstantKernel",
    "sklearn.gaussian_process.kernels.DotProduct",
    "sklearn.gaussian_process.kernels.Exponentiation",
    "sklearn.gaussian_process.kernels.ExpSineSquared",
    "sklearn.gaussian_process.kernels.Hyperparameter",
    "sklearn.gaussian_process.kernels.Matern",
    "sklearn.gaussian_process.kernels.Product",
    "sklearn.gaussian_process.kernels.RBF",
    "sklearn.gaussian_process.kernels.RationalQuadratic",
    "sklearn.gaussian_process.kernels.Sum",
    "sklearn.gaussian_process.kernels.WhiteKernel",
    "sklearn.metrics._dist_metrics.ChebyshevDistance64",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.metrics._dist_metrics.ManhattanDistance64",
    "sklearn.metrics._dist_metrics.MinkowskiDistance64",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
)
# Nodes by which earlier releases of skops let a file call what it names (CVE-2025-54412, -54413).
REFUSED_NODES: Final = frozenset({"MethodNode", "OperatorFuncNode", "PartialNode"})


class SkopsFile:
    """Files that skops.io.dump wrote."""

    name = "skops"
    library = "scikit-learn"
    runs_code = False

    def sniff(self, data: bytes) -> bool:
        """Say whether the bytes are a zip archive that starts like one, with a schema."""
        if not data.startswith(ZIP):
            return False
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                return SCHEMA in archive.namelist()
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
            return False

    def open(self, data: bytes) -> Opened:
        """Rebuild an estimator after its archive, schema and types were checked."""
        _check_members(check_archive(data, most_bytes=MOST_OPENED_BYTES))
        _check_schema(data)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            estimator = _load(data)
        refuse_unsound(estimator)
        versions = {
            w.message.original_sklearn_version
            for w in caught
            if isinstance(w.message, InconsistentVersionWarning)
        }
        return Opened(estimator, tuple(sorted(versions)))


def write_skops(estimator: object) -> bytes:
    """Write an estimator as a skops file; raises FormatRefused for a type that it lacks."""
    try:
        return bytes(skops.io.dumps(estimator))
    except Exception as error:
        raise FormatRefused(f"skops cannot hold it: {error}") from error


def _load(data: bytes) -> Any:
    try:
        _refuse_untrusted(skops.io.get_untrusted_types(data=data))
        return skops.io.loads(data, trusted=list(TRUSTED))
    except FormatRefused:
        raise
    except UntrustedTypesFoundException as error:
        raise FormatRefused(f"it holds a type that is not trusted: {error}") from error
    except Exception as error:
        raise FormatRefused(f"it cannot be opened: {type(error).__name__}") from error


def _refuse_untrusted(types: list[str]) -> None:
    unknown = sorted(set(types) - set(TRUSTED))
    if unknown:
        raise FormatRefused(f"it holds {', '.join(unknown)}, which are not trusted")


def _check_members(sizes: dict[str, int]) -> None:
    for name in sizes:
        if not MEMBER.fullmatch(name):
            raise FormatRefused(f"its archive holds {name[:80]!r}", "only dense arrays are taken")
    if sizes.get(SCHEMA, 0) > MOST_SCHEMA_BYTES:
        raise FormatRefused("its schema is too long")


def _check_schema(data: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            waiting = [orjson.loads(archive.read(SCHEMA))]
    except (KeyError, orjson.JSONDecodeError, zipfile.BadZipFile, EOFError) as error:
        raise FormatRefused("its schema is missing or no JSON") from error
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            _check_node(node)
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _check_node(node: dict[str, Any]) -> None:
    if node.get("__loader__") in REFUSED_NODES:
        raise FormatRefused(f"it holds a {node['__loader__']}, which is not trusted")
    module = node.get("__module__")
    if isinstance(module, str) and module.partition(".")[0] not in PACKAGES:
        raise FormatRefused(f"it holds {module}.{node.get('__class__')}, which is not trusted")
