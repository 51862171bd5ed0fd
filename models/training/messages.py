"""What a trainer and its customer say to each other, and the most that either may say.

customer: train {spec, name, size, seconds, confined}; the table as a descriptor, and as a blob
          the results of an earlier attempt: a JSON list of [key, value]
trainer:  told {phase, done, total, note}; result {key, value}; and at the end
          trained {roles} with a blob for each role, or refused {what, where, problem, ...}
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from models.manifest import EVALUATION, MODEL, REFERENCE, REPORT

TRAIN: Final = "train"
TOLD: Final = "told"
RESULT: Final = "result"
TRAINED: Final = "trained"
REFUSED: Final = "refused"
DRIFT: Final = "drift"  # what is said of it is in drift_order
DRIFTED: Final = "drifted"

MIB: Final = 1024**2
MOST_SPEC_BYTES: Final = 16 * MIB
MOST_DATA_BYTES: Final = 2 * 1024**3
MOST_KNOWN_BYTES: Final = 64 * MIB  # results, of all attempts together
MOST_RESULTS: Final = 100_000
MOST_RESULT_BYTES: Final = 1 * MIB
MOST_WORD_BYTES: Final = 2 * MIB  # of all messages to a customer, but for their blobs
MOST_KEY: Final = 300
MOST_NOTE: Final = 2_000
MOST_LINES, MOST_LINE = 500, 500  # of the report on refused data
TOLD_SECONDS: Final = 0.2  # between two words on how far it is

# What a training hands over, and the most bytes of each; a model's are bounded by a setting.
ROWS: Final = "rows"
ANSWERS: Final = "answers"
MOST_BYTES: Final = MappingProxyType(
    {
        MODEL: 4 * 1024**3,
        EVALUATION: 16 * MIB,
        REPORT: 32 * MIB,
        REFERENCE: 16 * MIB,
        ROWS: 16 * MIB,
        ANSWERS: 16 * MIB,
    }
)
REFUSALS: Final = ("spec", "data", "memory", "failed")
REFUSAL: Final = frozenset({"what", "where", "problem", "remedy", "report"})
