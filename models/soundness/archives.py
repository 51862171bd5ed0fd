"""Zip archives of arrays, looked at before anything in them is unpacked."""

from __future__ import annotations

import io
import math
import zipfile
from typing import IO, Any, Final

import numpy as np
from numpy.lib import format as npy

from models.errors import FormatRefused

MOST_MEMBERS: Final = 200_000
ENCRYPTED: Final = 0x1
METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
HEADER_READERS: Final = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def check_archive(data: bytes, *, most_bytes: int) -> dict[str, int]:
    """Return the members' declared sizes; raises FormatRefused for an archive that may harm.

    zipfile never reads more of a member than its declared size, so that what is bounded here is
    bounded in truth. Members are only ever read from memory, never unpacked to a path.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            sizes = _declared_sizes(members, most_bytes)
            for member in members:
                if member.filename.endswith(".npy"):
                    with archive.open(member) as stream:
                        _check_array(member.filename, stream, member.file_size)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, OSError) as error:
        raise FormatRefused(f"its archive is broken: {error}") from error
    return sizes


def _declared_sizes(members: list[zipfile.ZipInfo], most_bytes: int) -> dict[str, int]:
    sizes = {member.filename: member.file_size for member in members}
    if len(members) > MOST_MEMBERS or len(sizes) != len(members):
        raise FormatRefused("its archive has too many members, or two of one name")
    if any(m.flag_bits & ENCRYPTED or m.compress_type not in METHODS for m in members):
        raise FormatRefused("its archive is encrypted, or compressed by other than deflate")
    if sum(sizes.values()) > most_bytes:
        raise FormatRefused(f"unpacked it would take more than {most_bytes} bytes")
    return sizes


def _check_array(name: str, stream: IO[bytes], size: int) -> None:
    version = npy.read_magic(stream)
    reader = HEADER_READERS.get(version)
    if reader is None:
        raise FormatRefused(f"the array {name} is of version {version}")
    shape, _, dtype = reader(stream)
    _check_dtype(name, dtype)
    if any(length < 0 for length in shape):
        raise FormatRefused(f"the array {name} has a negative length")
    if stream.tell() + math.prod(shape) * dtype.itemsize != size:
        raise FormatRefused(f"the array {name} is not as long as its header says")


def _check_dtype(name: str, dtype: np.dtype[Any]) -> None:
    if dtype.hasobject:
        raise FormatRefused(f"the array {name} holds Python objects")
