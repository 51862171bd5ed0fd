"""A worker's application around a house, with nothing of its own running."""

from __future__ import annotations

from service.app import Served
from service.express.answering import Express
from service.intake_runner import IntakeRunner, TrainingRunner
from service.upkeep import Upkeep
from tests.house import House


def served(house: House) -> Served:
    """What a web worker would call; its upkeep, intakes and trainings are not started."""
    platform = house.platform
    runners = IntakeRunner(platform), TrainingRunner(platform)
    return Served(house.app, platform, Upkeep(platform), *runners, Express(platform))
