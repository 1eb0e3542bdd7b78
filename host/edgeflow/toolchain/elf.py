"""What a shared library says of itself: its processor, its own name, the libraries that it needs (ELF)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from edgeflow.errors import UsageError

MACHINES = {40: "armv7l", 62: "x86_64", 183: "aarch64"}
"""e_machine -> the processor as targets name it."""

_LOAD, _DYNAMIC = 1, 2  # p_type
_NEEDED, _STRTAB, _SONAME = 1, 5, 14  # d_tag


@dataclass(frozen=True, slots=True)
class Elf:
    """`soname` is empty where the library has none; `machine` is a number where it is none of MACHINES."""

    machine: str
    soname: str
    needed: tuple[str, ...]

    @property
    def is_android(self) -> bool:
        """Whether it is of Android's C library, whose name has no number."""
        return "libc.so" in self.needed


def read_elf(path: Path) -> Elf:
    """Raises UsageError for what is no little-endian ELF file, or cannot be read."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    if data[:4] != b"\x7fELF" or data[5:6] != b"\x01":
        raise UsageError(f"{path}: not a library for a device (no little-endian ELF file)")
    try:
        return _read(data)
    except (struct.error, ValueError, IndexError) as error:
        raise UsageError(f"{path}: a damaged library") from error


def _read(data: bytes) -> Elf:
    wide = data[4] == 2
    (machine,) = struct.unpack_from("<H", data, 18)
    (headers,) = struct.unpack_from("<Q", data, 32) if wide else struct.unpack_from("<I", data, 28)
    size, count = struct.unpack_from("<HH", data, 54 if wide else 42)
    # type, offset in the file, address, size in the file
    segments = []
    for index in range(count):
        at = headers + index * size
        if wide:
            kind, _, offset, address, _, length = struct.unpack_from("<IIQQQQ", data, at)
        else:
            kind, offset, address, _, length = struct.unpack_from("<IIIII", data, at)
        segments.append((kind, offset, address, length))
    entries: list[tuple[int, int]] = []
    for kind, offset, _, length in segments:
        if kind == _DYNAMIC:
            item = "<qQ" if wide else "<iI"
            entries = list(struct.iter_unpack(item, data[offset : offset + length]))
    strings = next((value for tag, value in entries if tag == _STRTAB), None)
    if strings is None:
        raise ValueError("no dynamic section")
    place = next(
        strings - address + offset
        for kind, offset, address, length in segments
        if kind == _LOAD and address <= strings < address + length
    )

    def text(value: int) -> str:
        return data[place + value : data.index(b"\0", place + value)].decode()

    names = {tag: text(value) for tag, value in entries if tag == _SONAME}
    needed = tuple(text(value) for tag, value in entries if tag == _NEEDED)
    return Elf(MACHINES.get(machine, str(machine)), names.get(_SONAME, ""), needed)
