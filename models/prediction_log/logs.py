"""The prediction logs of an installation, as one worker holds them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from config.database import Database
from models.prediction_log.files import LogFiles
from models.prediction_log.log import PredictionLog
from models.prediction_log.segments import Segments
from models.prediction_log.settings import LogSettings
from models.prediction_log.writing import Count, SegmentWriter
from models.register.version_keys import DataKey

if TYPE_CHECKING:
    from config.settings import Settings


@dataclass(frozen=True, slots=True)
class PredictionLogs:
    """What is to be logged, what was, where that is, and what waits to be."""

    settings: LogSettings
    segments: Segments
    files: LogFiles
    waiting: PredictionLog

    @classmethod
    def of(
        cls,
        settings: Settings,
        database: Database,
        data_key: DataKey,
        count: Count,
        clock: Callable[[], float] = time.time,
    ) -> Self:
        """Over the database and store that the settings name; `count` is told of every row."""
        files, segments = LogFiles.of(settings), Segments(clock)
        terms = LogSettings(data_key, clock)
        writer = SegmentWriter(database, terms, segments, files, count, clock)
        return cls(terms, segments, files, PredictionLog(writer.write, count))
