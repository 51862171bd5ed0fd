"""skops files: estimators as a schema and arrays, rebuilt from named and trusted types only."""

from __future__ import annotations

import importlib
import io
import re
import warnings
import zipfile
from functools import partial
from typing import Any, Final

import orjson
import skops.io
from sklearn.cluster import Birch
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import check_array
from skops.io._general import object_get_state
from skops.io._utils import _get_state
from skops.io.exceptions import UntrustedTypesFoundException

from models.date_parts import DateParts
from models.errors import FormatRefused
from models.estimators import parts_of
from models.handlers import MOST_OPENED_BYTES, Opened
from models.soundness import boosters
from models.soundness.archives import check_archive
from models.soundness.estimators import refuse_unsound

SCHEMA: Final = "schema.json"
MOST_SCHEMA_BYTES: Final = 256 * 1024**2
# The last are the bytes of boosters.
MEMBER: Final = re.compile(r"schema\.json|[0-9]{1,24}\.np[yz]|[0-9a-f-]{36}\.bin")
MATRIX: Final = re.compile(r"(data|indices|indptr|row|col|format|shape|_is_array)\.npy")
ONLY_SKLEARN: Final = "models are made of scikit-learn's own parts, numpy's and scipy's"
CHECK: Final = "sklearn.utils.validation.check_array"
PACKAGES: Final = (
    frozenset({"builtins", "collections", "functools", "numpy", "scipy", "sklearn"})
    | boosters.PACKAGES
)
# Functions and types of numpy and scipy that fitted estimators hold beside what skops trusts: they
# compute, or are data.
TRUSTED: Final = frozenset(
    {
        "numpy.amax",
        "numpy.amin",
        "numpy.dtype",
        "numpy.max",
        "numpy.mean",
        "numpy.median",
        "numpy.min",
        "numpy.sum",
        "scipy._lib.array_api_compat.numpy._aliases.asarray",
        "scipy.interpolate._bsplines.BSpline",
        "scipy.sparse._coo.coo_array",
        "scipy.sparse._coo.coo_matrix",
        "scipy.sparse._csc.csc_array",
        "scipy.sparse._csc.csc_matrix",
        "scipy.sparse._csr.csr_array",
        "scipy.sparse._csr.csr_matrix",
    }
)
# Classes of these modules are taken: in a sandbox, once models.soundness has looked at them,
# they are data. Not among them is what tests, reads files or starts threads.
ESTIMATORS: Final = re.compile(
    r"sklearn\.(_loss|calibration|cluster|compose|covariance|cross_decomposition|decomposition"
    r"|discriminant_analysis|dummy|ensemble|feature_extraction|feature_selection|frozen"
    r"|gaussian_process|impute|isotonic|kernel_approximation|kernel_ridge|linear_model|manifold"
    r"|metrics|mixture|model_selection|multiclass|multioutput|naive_bayes|neighbors"
    r"|neural_network|pipeline|preprocessing|random_projection|semi_supervised|svm|tree"
    r"|utils\._bunch|utils\._metadata_requests)(\.(?!tests\b)\w+)*"
)
# The one class of our own that pipelines hold; models.soundness looks at all that it may have.
DATE_PARTS: Final = f"{DateParts.__module__}.{DateParts.__qualname__}"
# Functions by which estimators were fitted, and that score them: computations on arrays.
COMPUTATIONS: Final = re.compile(
    r"sklearn\.(feature_selection\._(univariate_selection|mutual_info)|metrics(\.\w+)*"
    r"|cluster\._kmeans)"
)
# Nodes by which earlier releases of skops let a file call what it names (CVE-2025-54412, -54413).
REFUSED_NODES: Final = frozenset({"MethodNode", "OperatorFuncNode", "PartialNode"})


class SkopsFile:
    """Files that skops.io.dump wrote."""

    def open(self, data: bytes) -> Opened:
        """Rebuild an estimator after its archive, schema and types were checked."""
        sizes = check_archive(data, most_bytes=MOST_OPENED_BYTES)
        _check_members(sizes)
        _check_matrices(data, sizes)
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
        for part in parts_of(estimator):
            _leave_out_growth(part)
            _leave_out_check(part)
        return bytes(skops.io.dumps(estimator))
    except Exception as error:
        raise FormatRefused(
            f"skops cannot hold it: {error}", "leave out functions and classes of your own"
        ) from error


def _leave_out_growth(part: object) -> None:
    """Take the tree by which it could be fitted further from a Birch: a web of references."""
    if isinstance(part, Birch) and hasattr(part, "root_"):
        part.root_ = part.dummy_leaf_ = None


def _leave_out_check(part: object) -> None:
    """Take the check from a step that only checks that numbers are numbers, and may be missing."""
    func = getattr(part, "func", None)
    if (
        isinstance(part, FunctionTransformer)
        and isinstance(func, partial)
        and func.func is check_array
        and func.keywords.get("ensure_all_finite") is False
    ):
        part.func = None


# skops refuses Birch for that web alone.
_get_state.register(Birch, object_get_state)


def _load(data: bytes) -> Any:
    boosters.guard_boosters()
    try:
        types = skops.io.get_untrusted_types(data=data)
        _refuse_untrusted(types)
        return skops.io.loads(data, trusted=types)
    except FormatRefused:
        raise
    except UntrustedTypesFoundException as error:
        raise FormatRefused(f"it holds a type that is not trusted: {error}") from error
    except Exception as error:
        raise FormatRefused(f"it cannot be opened: {type(error).__name__}") from error


def _refuse_untrusted(types: list[str]) -> None:
    unknown = sorted(name for name in types if not _is_data(name))
    if unknown:
        raise FormatRefused(
            f"it holds {', '.join(unknown)[:1000]}, which are not trusted", ONLY_SKLEARN
        )


def _is_data(name: str) -> bool:
    """Whether a type or function that skops itself does not trust may be opened in a sandbox."""
    module, _, kind = name.rpartition(".")
    if name in TRUSTED or name in boosters.CLASSES:
        return True
    if name in (CHECK, DATE_PARTS, "functools.partial"):
        return True
    if not ESTIMATORS.fullmatch(module):
        return False
    try:
        found = getattr(importlib.import_module(module), kind)
    except (ImportError, AttributeError):
        return False
    own = str(getattr(found, "__module__", "")).startswith("sklearn.")
    return own and (isinstance(found, type) or COMPUTATIONS.fullmatch(module) is not None)


def _check_members(sizes: dict[str, int]) -> None:
    for name in sizes:
        if not MEMBER.fullmatch(name):
            raise FormatRefused(f"its archive holds {name[:80]!r}", "only arrays are taken")
    if sizes.get(SCHEMA, 0) > MOST_SCHEMA_BYTES:
        raise FormatRefused("its schema is too long")


def _check_matrices(data: bytes, sizes: dict[str, int]) -> None:
    """Sparse matrices are archives within the archive: they are looked at as it was."""
    left = MOST_OPENED_BYTES - sum(sizes.values())
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in (name for name in sizes if name.endswith(".npz")):
            try:
                inner = check_archive(archive.read(name), most_bytes=left)
            except zipfile.BadZipFile as error:
                raise FormatRefused(f"its archive is broken: {error}") from error
            left -= sum(inner.values())
            if not all(MATRIX.fullmatch(member) for member in inner):
                raise FormatRefused(f"its archive holds {name}, which is no sparse matrix")


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


def _only_checks(node: dict[str, Any]) -> bool:
    """Whether a node is the check by which histogram models look at their columns of numbers."""
    match node:
        case {
            "__loader__": "PartialNode",
            "content": {"func": {"__loader__": "FunctionNode"} as f},
        }:
            return f"{f.get('__module__')}.{f.get('__class__')}" == CHECK
    return False


def _check_node(node: dict[str, Any]) -> None:
    if node.get("__loader__") in REFUSED_NODES and not _only_checks(node):
        raise FormatRefused(f"it holds a {node['__loader__']}, which is not trusted")
    module = node.get("__module__")
    if isinstance(module, str) and module.partition(".")[0] not in PACKAGES:
        named = f"{module}.{node.get('__class__')}"
        if named == DATE_PARTS and node.get("__loader__") == "ObjectNode":
            return
        raise FormatRefused(f"it holds {named[:200]}, which is not trusted", ONLY_SKLEARN)
