"""Makes Debian's adbd ask for keys, as the adbd of a phone does. Pure.

Debian builds adbd with `auth_required = false` at the start of adbd_main (AOSP daemon/main.cpp; a phone has
`true` unless ro.adb.secure is 0). That store is the byte store of the zero register right before the call
whose first argument is the string ADB_EXTERNAL_STORAGE; without it the variable keeps its initial `true`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_STORE_ZERO = 0x3900011F  # strb wzr, [x8]
_NOP = 0xD503201F
_MARK = b"ADB_EXTERNAL_STORAGE\0"
_LOOK_BACK = 9  # instructions between the string's address and the store


def require_keys(program: bytes) -> bytes:
    """The arm64 adbd `program` with that store taken out. Raises ValueError unless there is exactly one."""
    segments = _load_segments(program)
    found = [
        offset
        for offset in _stores_before_calls(program)
        if any(_address_is(program, segments, offset - 4 * back) for back in range(1, _LOOK_BACK + 1))
    ]
    if len(found) != 1:
        raise ValueError(f"found {len(found)} places that switch authorization off, expected 1")
    return program[: found[0]] + struct.pack("<I", _NOP) + program[found[0] + 4 :]


def _load_segments(program: bytes) -> list[tuple[int, int, int]]:
    """(file offset, address, size) of the PT_LOAD segments of an ELF64 file."""
    if program[:5] != b"\x7fELF\x02":
        raise ValueError("not a 64-bit ELF file")
    (table,) = struct.unpack_from("<Q", program, 32)
    (count,) = struct.unpack_from("<H", program, 56)
    segments = []
    for index in range(count):
        kind, _, offset, address, _, size = struct.unpack_from("<IIQQQQ", program, table + 56 * index)
        if kind == 1:
            segments.append((offset, address, size))
    return segments


def _stores_before_calls(program: bytes) -> Iterator[int]:
    pattern, start = struct.pack("<I", _STORE_ZERO), 0
    while (offset := program.find(pattern, start)) >= 0:
        start = offset + 4
        if offset % 4 == 0 and struct.unpack_from("<I", program, offset + 4)[0] >> 26 == 0b100101:  # bl
            yield offset


def _address_is(program: bytes, segments: list[tuple[int, int, int]], offset: int) -> bool:
    """Whether the instruction at `offset` is `adr x0, MARK`."""
    (word,) = struct.unpack_from("<I", program, offset)
    if word & 0x9F00001F != 0x10000000:
        return False
    distance = (word >> 5 & 0x7FFFF) << 2 | word >> 29 & 3
    distance -= (1 << 21) if distance >> 20 else 0
    for start, address, size in segments:
        if start <= offset < start + size:
            target = offset - start + address + distance
            break
    else:
        return False
    return any(
        program.startswith(_MARK, start + target - address)
        for start, address, size in segments
        if address <= target < address + size
    )
