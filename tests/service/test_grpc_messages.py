"""Our description of the messages, held against those of Triton's own client library."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import model_config_pb2, service_pb2

from models.errors import InputRefused
from service.grpc_inference import counting, proto_files
from service.grpc_inference.messages import (
    LARGE,
    POOL,
    RPCS,
    decode,
    encode,
    message_class,
    taking_apart,
)

Request = message_class("inference.ModelInferRequest")
THEIRS = {
    **service_pb2.DESCRIPTOR.message_types_by_name,
    **model_config_pb2.DESCRIPTOR.message_types_by_name,
}
OURS = POOL.FindFileByName("sallyport/inference.proto").message_types_by_name


def fields_of(message: Any, prefix: str = "") -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Each field by its path: what of it is on the wire."""
    for field in message.fields:
        inner = field.message_type or field.enum_type
        oneof = field.containing_oneof.name if field.containing_oneof else None
        described = (field.number, field.type, field.is_repeated, inner and inner.name, oneof)
        yield f"{prefix}{field.name}", described
    for nested in message.nested_types:
        yield from fields_of(nested, f"{prefix}{nested.name}.")


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_field_is_as_clients_know_it(name: str) -> None:
    theirs = dict(fields_of(THEIRS[name]))
    ours = dict(fields_of(OURS[name]))

    assert {path: theirs.get(path) for path in ours} == ours


def test_types_of_elements_have_the_numbers_that_clients_know() -> None:
    ours = POOL.FindEnumTypeByName("inference.DataType").values_by_name
    theirs = model_config_pb2.DataType.items()
    assert {name: value.number for name, value in ours.items()} == dict(theirs)


def test_every_method_takes_and_gives_what_clients_know() -> None:
    [service] = service_pb2.DESCRIPTOR.services_by_name.values()
    for path, rpc in RPCS.items():
        if not path.startswith("/inference."):
            continue
        method = service.methods_by_name[path.rpartition("/")[2]]
        assert (method.input_type.full_name, method.output_type.full_name) == (
            rpc.request,
            rpc.response,
        )


def test_process_may_hold_a_clients_messages_as_well() -> None:
    theirs = service_pb2.ModelInferRequest(model_name="linear", id="a7")
    theirs.parameters["priority"].uint64_param = 2**64 - 1

    ours = decode(Request, theirs.SerializeToString(), most_fields=10)

    assert (ours.model_name, ours.id) == ("linear", "a7")
    assert ours.parameters["priority"].uint64_param == 2**64 - 1
    assert type(ours) is not type(theirs)


def test_description_is_encoded_without_what_the_message_lacks() -> None:
    kind = message_class("inference.ServerMetadataResponse")
    data = encode(kind, {"name": "a", "extensions": ["b"], "unheard_of": {"c": 1}})
    assert service_pb2.ServerMetadataResponse.FromString(data).extensions == ["b"]


@pytest.mark.parametrize(
    "data",
    [
        b"\x0a",  # a tag alone
        b"\x0a\x05abc",  # shorter than it says
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # longer than memory
        b"\xff" * 11,  # a number without end
        b"\x2b\x2c",  # a group
        b"\x09\x00",  # half a double
        b"\x0a\x02\xff\xfe",  # no UTF-8
    ],
)
def test_malformed_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(InputRefused):
        decode(Request, data, most_fields=10)


@given(st.binary(max_size=200))
def test_whatever_is_read_is_what_protobuf_itself_reads(data: bytes) -> None:
    try:
        read = decode(Request, data, most_fields=100)
    except InputRefused:
        return
    assert service_pb2.ModelInferRequest.FromString(data).model_name == read.model_name


def test_fields_are_counted_before_anything_is_made_of_them() -> None:
    many = b"\x2a\x00" * 11
    with pytest.raises(InputRefused, match="more than 10 fields"):
        decode(Request, many, most_fields=10)
    assert len(decode(Request, many, most_fields=11).inputs) == 11


def sized(number: int, *parts: bytes) -> bytes:
    """A field with what it holds, as it is on the wire."""
    data = b"".join(parts)
    size = len(data)
    assert size < 2**14
    length = bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])
    return bytes([number << 3 | 2]) + length + data


ENTRY = sized(1, b"a") + sized(2, b"\x08\x01")


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (sized(4, ENTRY) * 50, "more than 100 fields"),
        (sized(5, sized(4, ENTRY) * 50), "more than 100 fields"),
        (sized(6, sized(2, ENTRY) * 50), "more than 100 fields"),
        (sized(5, sized(3, b"\x01" * 100)), "more than 100 fields"),
        (sized(5, b"\x18\x01" * 101), "more than 100 fields"),
        (sized(5, sized(5, b"\x42\x00" * 26)), "too many elements"),
        (sized(5, sized(5, b"\x42\x80\x00" * 26)), "too many elements"),
        (sized(5, sized(5, sized(2, b"\x01" * 101))), "too many elements"),
        (sized(5, sized(5, b"\x10\x01" * 101)), "too many elements"),
        (sized(5, sized(5, sized(7, b"\0" * 808))), "too many elements"),
    ],
)
def test_parts_of_nested_messages_are_counted_before_anything_is_made_of_them(
    message: bytes, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "LEAST_ELEMENTS", 100)
    monkeypatch.setattr(counting, "BYTES_AN_ELEMENT", 10)
    with pytest.raises(InputRefused, match=words):
        decode(Request, message, most_fields=100)


def test_elements_of_tensors_are_no_fields() -> None:
    texts = sized(5, sized(5, b"\x42\x01a" * 500, sized(8, b"b" * 200)))
    numbers = sized(5, sized(5, sized(7, b"\0" * 4000)))
    read = decode(Request, texts + numbers, most_fields=10)
    assert len(read.inputs[0].contents.bytes_contents) == 501
    assert len(read.inputs[1].contents.fp64_contents) == 500


def test_large_messages_are_taken_apart_one_after_another() -> None:
    began, inside = threading.Event(), threading.Event()

    def take_apart(data: bytes, then: threading.Event) -> None:
        began.set()
        with taking_apart(data):
            then.set()

    with taking_apart(b"0" * LARGE):
        other = threading.Thread(target=take_apart, args=(b"0" * LARGE, inside))
        other.start()
        assert began.wait(10)
        take_apart(b"small", small := threading.Event())
        assert small.is_set()
        assert not inside.wait(0.05)
    assert inside.wait(10)
    other.join()


def test_slip_in_a_description_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proto_files, "FOLDER", tmp_path)
    (tmp_path / "slip.proto").write_text('syntax = "proto3";\nmessage A { string a 1; }')
    with pytest.raises(SyntaxError, match=r"'1' at word \d+, where '=' belongs"):
        proto_files.read_proto("slip.proto")
