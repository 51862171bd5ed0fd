"""What the parent of trainings does before it forks, so that no training needs a file later."""

from __future__ import annotations

import models.training
from models.hosting import warming
from models.hosting.opener import import_handlers
from models.hosting.warming import import_whole

LIBRARIES = ("matplotlib", "optuna", "pyarrow")


def warm() -> None:
    """Import all that a training may need, and run its libraries once."""
    warming.warm("sklearn")
    import_handlers("sklearn")
    for name in (*LIBRARIES, models.training.__name__):
        import_whole(name)
