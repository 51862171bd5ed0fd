"""The gRPC program: a warm parent and the workers it forks, each with a listener of its own."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from config import migrations
from config.logging import configure_logging
from config.settings import Settings, load_settings
from service.bootstrap import Platform, assemble
from service.grpc_inference import listener
from service.grpc_inference.server import Inference, make_server
from service.monitoring import Monitor
from service.processes import REFUSED, Child, Post, fork
from service.upkeep import Upkeep
from service.workers import SETTLING_SECONDS, UNFIT, keep

PROGRAM: Final = "grpc"


@dataclass(frozen=True, kw_only=True)
class Inherited:
    """What the supervisor hands over; the listener holds the port and never listens."""

    listener: int
    ready: int
    lifeline: int


def main(arguments: Sequence[str]) -> None:
    """Serve until told to stop."""
    inherited = _parse(arguments)
    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)
    address = listener.address_of(inherited.listener)
    posts = [
        Post(
            f"grpc worker {number + 1}",
            partial(_start, settings, address, speaks=number == 0),
            drain_seconds=settings.drain_seconds,
        )
        for number in range(settings.workers)
    ]
    keep(posts, ready=inherited.ready, lifeline=inherited.lifeline)


def _parse(arguments: Sequence[str]) -> Inherited:
    parser = argparse.ArgumentParser(prog="service.grpc_inference")
    for name in ("listener", "ready", "lifeline"):
        parser.add_argument(f"--{name}", type=int, required=True)
    return Inherited(**vars(parser.parse_args(arguments)))


def _start(settings: Settings, address: str, *, speaks: bool) -> Child:
    return fork(partial(_work, settings, address, speaks), leads_group=False)


def _work(settings: Settings, address: str, speaks: bool, ready: int) -> None:
    """Be a worker: serve, and return when drained."""
    try:
        platform = _assemble(settings)
    except UNFIT as error:
        if speaks:
            sys.stderr.write(f"Error: {error}\n")
        sys.exit(REFUSED)
    upkeep = Upkeep(platform)
    upkeep.start()
    asyncio.run(_serve(platform, address, ready))
    platform.shadows.stop()
    platform.prediction_logs.waiting.stop()
    upkeep.stop()


def _assemble(settings: Settings) -> Platform:
    """The platform of one worker; raises if the installation is unfit to serve."""
    platform = assemble(settings, served=True)
    migrations.check(platform.database)
    platform.authority.describe()
    platform.signer()
    platform.tracing.open()
    return platform


async def _serve(platform: Platform, address: str, ready: int) -> None:
    inference = Inference(platform, Monitor(platform.telemetry, PROGRAM))
    server = make_server(platform, inference, address)
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    # Not loop.add_signal_handler: under load its pipe is full and the signal is lost.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(told.set))
    await server.start()
    os.write(ready, b"1")
    await told.wait()
    await _leave(platform.settings, inference, server, int(address.rpartition(":")[2]))


async def _leave(settings: Settings, inference: Inference, server: Any, port: int) -> None:
    """Let successors have what is new, and finish what is here."""
    listener.step_aside(port, workers=settings.workers)
    settling = min(SETTLING_SECONDS, settings.drain_seconds / 4)
    await asyncio.sleep(settling)
    listener.step_aside(port, workers=settings.workers, last=True)
    inference.leaving.set()
    # Some of the time is left for what is to be written after the last answer.
    await server.stop(settings.drain_seconds * 0.9 - settling)
