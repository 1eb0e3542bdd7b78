"""Names of ARM cores by the implementer and part ids of /proc/cpuinfo."""

from __future__ import annotations

# Linux, arch/arm64/include/asm/cputype.h; util-linux, sys-utils/lscpu-arm.c.
_PARTS: dict[tuple[int, int], str] = {
    (0x41, 0xB76): "ARM1176",
    (0x41, 0xC07): "Cortex-A7",
    (0x41, 0xC08): "Cortex-A8",
    (0x41, 0xC09): "Cortex-A9",
    (0x41, 0xC0F): "Cortex-A15",
    (0x41, 0xD03): "Cortex-A53",
    (0x41, 0xD04): "Cortex-A35",
    (0x41, 0xD05): "Cortex-A55",
    (0x41, 0xD07): "Cortex-A57",
    (0x41, 0xD08): "Cortex-A72",
    (0x41, 0xD09): "Cortex-A73",
    (0x41, 0xD0A): "Cortex-A75",
    (0x41, 0xD0B): "Cortex-A76",
    (0x41, 0xD0C): "Neoverse-N1",
    (0x41, 0xD0D): "Cortex-A77",
    (0x41, 0xD40): "Neoverse-V1",
    (0x41, 0xD41): "Cortex-A78",
    (0x41, 0xD42): "Cortex-A78AE",
    (0x41, 0xD44): "Cortex-X1",
    (0x41, 0xD46): "Cortex-A510",
    (0x41, 0xD47): "Cortex-A710",
    (0x41, 0xD48): "Cortex-X2",
    (0x41, 0xD49): "Neoverse-N2",
    (0x41, 0xD4B): "Cortex-A78C",
    (0x41, 0xD4D): "Cortex-A715",
    (0x41, 0xD4E): "Cortex-X3",
    (0x41, 0xD4F): "Neoverse-V2",
    (0x41, 0xD80): "Cortex-A520",
    (0x41, 0xD81): "Cortex-A720",
    (0x41, 0xD82): "Cortex-X4",
    (0x41, 0xD84): "Neoverse-V3",
    (0x41, 0xD85): "Cortex-X925",
    (0x41, 0xD87): "Cortex-A725",
    (0x41, 0xD8E): "Neoverse-N3",
    (0x4E, 0x000): "Denver",
    (0x4E, 0x003): "Denver 2",
    (0x4E, 0x004): "Carmel",
    (0x51, 0x001): "Oryon",
    (0x51, 0x800): "Kryo 2xx Gold",
    (0x51, 0x801): "Kryo 2xx Silver",
    (0x51, 0x802): "Kryo 3xx Gold",
    (0x51, 0x803): "Kryo 3xx Silver",
    (0x51, 0x804): "Kryo 4xx Gold",
    (0x51, 0x805): "Kryo 4xx Silver",
    (0x53, 0x001): "Exynos-M1",
    (0x53, 0x002): "Exynos-M3",
    (0x53, 0x003): "Exynos-M4",
    (0x53, 0x004): "Exynos-M5",
}

# Cores of Armv8.0 to 8.2: their generic timer runs at tens of MHz, never at the 1 GHz that Armv8.6 asks for.
_BEFORE_ARMV8_6 = frozenset(
    name
    for (implementer, part), name in _PARTS.items()
    if implementer == 0x41 and 0xD03 <= part <= 0xD44 and name != "Neoverse-V1"
)


def arm_core_name(implementer: int, part: int) -> str:
    """The core's name, or "implementer/part" in hexadecimal where it is not in the table."""
    return _PARTS.get((implementer, part), f"0x{implementer:02x}/0x{part:03x}")


def timer_is_slow(core: str) -> bool:
    """Whether a real core of this name has a generic timer below 1 GHz."""
    return core in _BEFORE_ARMV8_6
