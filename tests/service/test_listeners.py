"""Listeners of the supervisor: one for each process that accepts, and nobody else's beside them."""

from __future__ import annotations

import select
import socket
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace

import pytest

from config.settings import Settings
from service.programs import Program, programs_of
from service.supervisor import AddressUnavailable, _listeners

CONNECTIONS = 64


def program(accepting: int, port: int = 0) -> Program:
    return Program(name="web", argv=(), host="127.0.0.1", port=port, accepting=accepting)


def test_every_worker_has_a_listener(house_settings: Settings) -> None:
    web, *others = programs_of(replace(house_settings, workers=3))
    assert web.accepting == 3
    assert {each.accepting for each in others} == {1}


@pytest.mark.parametrize("accepting", [1, 2, 4])
def test_new_connections_are_divided_among_all_at_one_port(accepting: int) -> None:
    with ExitStack() as stack:
        listeners = stack.enter_context(_listeners(program(accepting)))
        [address] = {listener.getsockname() for listener in listeners}
        for _ in range(CONNECTIONS):
            stack.enter_context(socket.create_connection(address))
        accepted: Counter[int] = Counter()
        while ready := select.select(listeners, [], [], 0.2)[0]:
            for listener in ready:
                stack.enter_context(listener.accept()[0])
                accepted[listener.fileno()] += 1
    assert len(listeners) == len(accepted) == accepting
    assert accepted.total() == CONNECTIONS


@pytest.mark.parametrize(("held", "wanted"), [(1, 2), (2, 1), (2, 2)])
def test_a_port_that_is_listened_on_is_refused_to_another_supervisor(
    held: int, wanted: int
) -> None:
    with _listeners(program(held)) as listeners:
        port = listeners[0].getsockname()[1]
        with (
            pytest.raises(AddressUnavailable, match="is in use"),
            _listeners(program(wanted, port)),
        ):
            pass


def test_a_port_is_free_again_afterwards() -> None:
    with _listeners(program(2)) as listeners:
        address = listeners[0].getsockname()
        with socket.create_connection(address):
            pass
    with _listeners(program(2, address[1])) as listeners:
        assert {listener.getsockname() for listener in listeners} == {address}
