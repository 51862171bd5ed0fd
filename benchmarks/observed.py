"""A prediction observed in each of the ways there are; imported once the metrics have a folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from config.settings import Settings
from config.telemetry import STAGES, Telemetry
from config.tracing import Tracing
from service import observing
from service.observing import Outcome, Recurring

SPENT = (3e-6, 4e-6, 5e-6, 2e-6, 1e-5, 4e-6)  # of each stage
TOTAL = 3e-5
OUTCOME = Outcome(status=200, endpoint="predict.predict", method="POST", route="/predict")

# As much of each as a call is observed with.
VERSION: Any = SimpleNamespace(
    id="ver_1", manifest=SimpleNamespace(contents=SimpleNamespace(engine="linear"))
)
SCOPE: Any = SimpleNamespace(tenant_id="ten_1", principal=SimpleNamespace(id="usr_1"))
VISIT: Any = SimpleNamespace(dialect="native", version=VERSION, rows=1)

telemetry = Telemetry()
count = telemetry.requests.labels("predict.predict", "POST", "200")
duration = telemetry.request_seconds.labels("predict.predict", "native")


class Observed:
    """Predictions of a process that traces this share of its calls, or none."""

    def __init__(self, folder: Path, ratio: float | None) -> None:
        settings = Settings(instance=folder, master_keys=(bytes(32),))
        if ratio is not None:
            nowhere = "http://127.0.0.1:9"
            settings = replace(settings, otel_endpoint=nowhere, otel_sample_ratio=ratio)
        self.tracing = Tracing(settings, telemetry, instance="here")
        platform: Any = SimpleNamespace(telemetry=telemetry, tracing=self.tracing)
        self.platform = platform
        self.tally = observing.tally_of(platform, VERSION, "native", OUTCOME)
        self._recurring = Recurring(
            platform=platform,
            scope=SCOPE,
            version=VERSION,
            dialect="native",
            outcome=OUTCOME,
            tally=self.tally,
        )

    def whole(self, **headers: str) -> None:
        """Observe one from its beginning on, as an application does."""
        call = observing.begin(self.platform, headers.get)
        for stage in STAGES[:-1]:
            call.stages.done(stage)
        telemetry.rows.labels("linear", "native").inc()
        call.visit = VISIT
        observing.finish(call, OUTCOME)

    def told(self) -> None:
        """Tell of a plain one."""
        if observing.is_plain(self.platform, None):
            request_id = observing.request_ids.next()
            observing.tell(self._recurring, request_id, rows=1, total=TOTAL, spent=SPENT)

    def added(self) -> None:
        """Count one."""
        self.tally.add(rows=1, total=TOTAL, spent=SPENT)
