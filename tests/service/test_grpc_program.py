"""The gRPC program's port: held by the supervisor, shared by generations of workers."""

from __future__ import annotations

import importlib.util
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest

from config.errors import ConfigurationError
from config.settings import Settings
from service.grpc_inference.callers import Metadata, address_of, credential_of
from service.grpc_inference.listener import address_of as address_held
from service.grpc_inference.listener import keep_to, step_aside
from service.programs import Program, programs_of
from service.supervisor import AddressUnavailable, _listen
from tests.journeys.served import free_port

GENERATION = 2


@pytest.fixture
def program(house_settings: Settings) -> Program:
    chosen = programs_of(replace(house_settings, grpc_port=free_port()))
    return next(program for program in chosen if program.name == "grpc")


def test_without_a_port_there_is_no_program(house_settings: Settings) -> None:
    assert "grpc" not in [program.name for program in programs_of(house_settings)]


@pytest.mark.parametrize("missing", ["grpc", "google.protobuf"])
def test_port_without_the_extra_is_refused_by_its_name(
    house_settings: Settings, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == missing else find(name)
    )
    with pytest.raises(ConfigurationError, match=r"extra grpc.*requirements-grpc\.lock"):
        programs_of(replace(house_settings, grpc_port=8001))


def test_port_that_somebody_listens_on_is_refused_by_its_setting(program: Program) -> None:
    shared = socket.socket()
    shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # as another gRPC server would
    with shared:
        shared.bind((program.host, program.port or 0))
        shared.listen()
        with pytest.raises(AddressUnavailable, match="choose another SALLYPORT_GRPC_PORT"):
            _listen(program).__enter__()


def test_port_that_is_held_is_nobody_elses(program: Program) -> None:
    with _listen(program), pytest.raises(AddressUnavailable), _listen(program):
        pass


def test_address_is_written_as_grpc_reads_it(program: Program) -> None:
    with _listen(program) as held:
        assert address_held(held.fileno()) == f"127.0.0.1:{program.port}"
        assert held.fileno() >= 0, "it is still held"
    with socket.socket(socket.AF_INET6) as other:
        other.bind(("::1", 0))
        assert address_held(other.fileno()) == f"[::1]:{other.getsockname()[1]}"


@pytest.mark.parametrize(("host", "answers"), [("0.0.0.0", False), ("[::]", True)])  # noqa: S104
def test_every_ipv4_address_is_none_of_ipv6(host: str, answers: bool) -> None:
    port = free_port()
    with socket.socket(socket.AF_INET6) as dual:  # as gRPC makes it of either
        dual.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        dual.bind(("::", port))
        dual.listen()
        keep_to(f"{host}:{port}")
        assert connects(socket.AF_INET, ("127.0.0.1", port))
        assert connects(socket.AF_INET6, ("::1", port)) is answers


def connects(family: int, address: tuple[str, int]) -> bool:
    with socket.socket(family) as client:
        client.setblocking(False)
        client.connect_ex(address)
        return bool(select.select([], [client], [], 0.2)[1])


def test_connections_go_to_the_successors_until_the_last_of_the_old_is_gone(
    program: Program,
) -> None:
    with _listen(program) as held:
        address = held.getsockname()
        with generation(address) as old, generation(address) as new:
            step_aside(address[1], workers=GENERATION)
            assert accepted(address, old, new) == {"old": 0, "new": 20}
            step_aside(address[1], workers=GENERATION, last=True)
            while old:
                assert accepted(address, old, new) == {"old": 0, "new": 20}
                old.pop().close()
            assert accepted(address, old, new)["new"] == 20
            with generation(address) as next_one:
                step_aside(address[1], workers=GENERATION)
                assert accepted(address, new, next_one) == {"old": 0, "new": 20}


def test_who_has_no_successor_goes_on_until_the_end(program: Program) -> None:
    with _listen(program) as held:
        address = held.getsockname()
        with generation(address) as only:
            step_aside(address[1], workers=GENERATION)
            assert accepted(address, only, [])["old"] == 20


@contextmanager
def generation(address: tuple[str, int]) -> Iterator[list[socket.socket]]:
    """The listeners of one generation of workers, as gRPC makes them."""
    with ExitStack() as stack:
        yield [stack.enter_context(listener(address)) for _ in range(GENERATION)]


def listener(address: tuple[str, int]) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(address)
    made.listen()
    made.setblocking(False)
    return made


def accepted(
    address: tuple[str, int], old: list[socket.socket], new: list[socket.socket]
) -> dict[str, int]:
    """How many of twenty connections each generation was given."""
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(socket.create_connection(address, timeout=5))
        return {"old": sum(map(drained, old)), "new": sum(map(drained, new))}


def drained(listening: socket.socket) -> int:
    count = 0
    while True:
        try:
            listening.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1


# Where a call comes from.


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.7:50051", "192.0.2.7"),
        ("ipv6:%5B2001:db8::1%5D:50051", "2001:db8::1"),
        ("ipv6:[2001:db8::1]:50051", "2001:db8::1"),
        ("unix:/tmp/a", "unknown"),
        ("", "unknown"),
    ],
)
def test_addresses_are_read_from_grpcs_names_of_peers(peer: str, address: str) -> None:
    assert address_of(peer) == address


@pytest.mark.parametrize(
    ("proxies", "address"), [(0, "192.0.2.7"), (1, "c"), (2, "b"), (3, "a"), (4, "192.0.2.7")]
)
def test_only_trusted_proxies_say_where_a_call_comes_from(proxies: int, address: str) -> None:
    metadata = Metadata([("x-forwarded-for", "a, b"), ("x-forwarded-for", "c"), ("x-bin", b"")])
    found = credential_of(metadata, "ipv4:192.0.2.7:50051", trusted_proxies=proxies)
    assert found.address == address
