"""What was opened by running its file, written so that it never has to run again."""

from __future__ import annotations

from typing import Any

from models.estimators import serve_natively
from models.handlers import Kept
from models.handlers.skops_file import write_skops
from models.inspection import inspect
from models.landmarks import landmarks_of
from models.preparation import Trial, prove
from models.probes import Source
from models.questions import ask_a_little


def convert(estimator: Any, *, seed: int) -> bytes:
    """An estimator as a skops file that answers alike; raises IntakeRefused."""
    own = serve_natively(estimator)
    signature = inspect(own).signature
    data = write_skops(estimator)
    source = Source(own.columns, landmarks_of(estimator), given=None, seed=seed)
    # It is asked everything once it is data; here, whether it is still the same model.
    prove(Kept("skops", data), Trial(signature, ask_a_little(own, signature, source), seed))
    return data
