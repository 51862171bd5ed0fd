"""What the parent of trainings does before it forks, so that no training needs a file later."""

from __future__ import annotations

from pkgutil import iter_modules
from typing import Final

import matplotlib as mpl
from matplotlib.figure import Figure

import models.training
from models.hosting import warming
from models.hosting.opener import import_handlers
from models.hosting.warming import import_whole
from models.library_versions import running_version
from models.training.document import LIBRARIES
from models.training.figures.drawing import draw

# Beside what hosts need. Of Optuna what keeps studies in memory, and not in databases.
WHOLE: Final = (
    "matplotlib.backends.backend_svg",
    "optuna.distributions",
    "optuna.pruners",
    "optuna.samplers",
    "optuna.storages._in_memory",
    "optuna.study",
    "optuna.trial",
    models.training.__name__,
)
# Of matplotlib: windows, tests, and what documents it.
PASSED_OVER: Final = frozenset({"backends", "pylab", "pyplot", "sphinxext", "testing", "tests"})


def warm() -> None:
    """Import all that a training may need, and have its libraries look for files once."""
    warming.warm("sklearn")
    import_handlers("sklearn")
    for name in (*_of_matplotlib(), *WHOLE):
        import_whole(name)
    for library in LIBRARIES:
        running_version(library)
    draw(_paint)  # it remembers where its font is


def _of_matplotlib() -> list[str]:
    found = [each.name for each in iter_modules(mpl.__path__) if each.name not in PASSED_OVER]
    return [f"{mpl.__name__}.{name}" for name in found]


def _paint(sheet: Figure) -> None:
    sheet.add_subplot().plot([0.0, 1.0])
