"""From the probe's text to facts. Pure, so that captured texts of real devices are its tests."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from edgeflow.devices.arm_parts import arm_core_name
from edgeflow.devices.clusters import clusters_of, darwin_clusters
from edgeflow.devices.emulation import hypervisor_of, is_emulated
from edgeflow.devices.power_sources import power_sources
from edgeflow.errors import DeviceError
from edgeflow.types import DeviceFacts

_ABIS = {
    "aarch64": ("arm64-v8a",),
    "arm64": ("arm64-v8a",),
    "armv8l": ("armeabi-v7a",),
    "armv7l": ("armeabi-v7a",),
    "armv6l": ("armeabi",),
    "x86_64": ("x86_64",),
    "amd64": ("x86_64",),
    "i686": ("x86",),
    "i386": ("x86",),
    "riscv64": ("riscv64",),
}


def parse_probe(text: str) -> DeviceFacts:
    """The facts of one probe. What the device did not tell is None or empty, never a guess.

    Raises DeviceError for a text that ends early or is not a probe's.
    """
    sections = _sections(text)
    uname = sections.get("uname", [])
    if len(uname) < 3 or not sections.get("nproc"):
        raise DeviceError(
            "the device did not answer the probe as a POSIX system does", detail=text[:2000],
            hint="log in and see what its shell prints; nothing may be printed before a command's own output",
        )  # fmt: skip
    if "end" not in sections:
        raise DeviceError(
            "the device's answer to the probe ends early", detail=text[-2000:], hint="check the connection"
        )
    return _darwin(sections, uname) if uname[0] == "Darwin" else _linux(sections, uname)


def work_dir_of(text: str) -> PurePosixPath:
    """The absolute work folder, as the probe resolved it on the device."""
    return PurePosixPath(_sections(text)["work"][0])


Sections = Mapping[str, list[str]]


def _linux(sections: Sections, uname: list[str]) -> DeviceFacts:
    _, kernel, arch = uname[:3]
    values, getprop = _pairs(sections["values"], "="), _pairs(sections["getprop"], "=")
    release = _pairs(sections["os-release"], "=")
    cpuinfo, processors = _cpuinfo(sections["cpuinfo"])
    parts = {cpu: _part(fields) for cpu, fields in processors.items()}
    tree = _pairs(sections["device-tree"], "=")
    android = "ro.build.version.sdk" in getprop
    libc, libc_version = _libc(sections["libc"])
    meminfo = _pairs(sections["meminfo"], ":")
    return DeviceFacts(
        os="android" if android else "linux",
        os_version=getprop.get("ro.build.version.release", "")
        if android
        else _unquoted(release.get("PRETTY_NAME", "")),
        kernel=kernel,
        arch=arch,
        abis=_abis(arch, sections, getprop),
        libc=libc,
        libc_version=libc_version,
        model=_linux_model(getprop, tree, cpuinfo, values) or arch,
        soc=_soc(getprop, tree, cpuinfo),
        api_level=int(getprop["ro.build.version.sdk"]) if android else None,
        cores=int(sections["nproc"][0]),
        clusters=clusters_of(values, parts),
        memory_bytes=_kib(meminfo.get("MemTotal")),
        memory_available_bytes=_kib(meminfo.get("MemAvailable")),
        disk_free_bytes=_disk_free(sections["df"]),
        thermal_zones={
            path.split("/")[-2]: kind
            for path, kind in values.items()
            if path.startswith(("/sys/class/thermal/", "/sys/class/hwmon/"))
        },
        power_sources=power_sources(sections["power"]),
        python_version=_first(sections["python"]),
        root=_first(sections["id"]) == "0",
        emulated=is_emulated(
            arch, values=values, getprop=getprop, cpuinfo=cpuinfo, sysctl={}, cores=tuple(parts.values())
        ),
        hypervisor=hypervisor_of(values=values, cpuinfo=cpuinfo, sysctl={}),
    )


def _darwin(sections: Sections, uname: list[str]) -> DeviceFacts:
    _, kernel, arch = uname[:3]
    sysctl, versions = _pairs(sections.get("sysctl", []), ":"), _pairs(sections.get("sw_vers", []), ":")
    brand, model = sysctl.get("machdep.cpu.brand_string", ""), sysctl.get("hw.model", "")
    return DeviceFacts(
        os="darwin",
        os_version=f"{versions.get('ProductName', 'macOS')} {versions.get('ProductVersion', '')}".strip(),
        kernel=kernel,
        arch=arch,
        abis=_ABIS.get(arch, ()),
        libc="libSystem",
        libc_version=None,
        model=f"{brand} ({model})" if brand and model else brand or model or arch,
        soc=brand if arch == "arm64" and brand else None,
        api_level=None,
        cores=int(sections["nproc"][0]),
        clusters=darwin_clusters(sysctl, int(sections["nproc"][0])),
        memory_bytes=int(sysctl["hw.memsize"]) if "hw.memsize" in sysctl else None,
        memory_available_bytes=_vm_stat_available(sections.get("vm_stat", [])),
        disk_free_bytes=_disk_free(sections["df"]),
        python_version=_first(sections["python"]),
        root=_first(sections["id"]) == "0",
        emulated=is_emulated(arch, values={}, getprop={}, cpuinfo={}, sysctl=sysctl, cores=()),
        hypervisor=hypervisor_of(values={}, cpuinfo={}, sysctl=sysctl),
    )


def _sections(text: str) -> dict[str, list[str]]:
    sections: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.replace("\r\n", "\n").split("\n"):
        if line.startswith("@@ "):
            lines = sections.setdefault(line[3:].strip(), [])
        elif line.strip():
            lines.append(line.rstrip())
    return sections


def _pairs(lines: Iterable[str], separator: str) -> dict[str, str]:
    pairs = (line.partition(separator) for line in lines)
    return {key.strip(): value.strip() for key, found, value in pairs if found}


def _cpuinfo(lines: list[str]) -> tuple[dict[str, str], dict[int, dict[str, str]]]:
    """All fields (the first of each name) and the fields of each processor by its number."""
    fields: dict[str, str] = {}
    processors: dict[int, dict[str, str]] = {}
    current = fields
    for line in lines:
        key, found, value = (part.strip() for part in line.partition(":"))
        if not found:
            continue
        if key == "processor" and value.isdigit():
            current = processors.setdefault(int(value), {})
        current.setdefault(key, value)
        fields.setdefault(key, value)
    return fields, processors


def _part(fields: Mapping[str, str]) -> str:
    try:
        return arm_core_name(int(fields["CPU implementer"], 16), int(fields["CPU part"], 16))
    except (KeyError, ValueError):
        return ""


def _abis(arch: str, sections: Sections, getprop: Mapping[str, str]) -> tuple[str, ...]:
    if abilist := getprop.get("ro.product.cpu.abilist"):
        return tuple(abilist.split(","))
    native = _ABIS.get(arch, ())
    # A 64-bit kernel under a 32-bit system (Raspberry Pi OS): the system's kind first, the kernel runs both.
    if _first(sections["bits"]) == "32" and native == ("arm64-v8a",):
        return ("armeabi-v7a", *native)
    return ("x86", *native) if _first(sections["bits"]) == "32" and native == ("x86_64",) else native


def _libc(lines: list[str]) -> tuple[str | None, str | None]:
    text = "\n".join(lines)
    if "/system/bin/linker" in text:
        return "bionic", None
    if match := re.search(
        r"GNU_LIBC_VERSION|^glibc (\S+)|\(.*(?:GLIBC|GNU libc).*\) (\d\S*)", text, re.MULTILINE
    ):
        return "glibc", match[1] or match[2]
    if "musl" in text:
        version = re.search(r"^Version (\S+)", text, re.MULTILINE)
        return "musl", version[1] if version else None
    return ("glibc", None) if "/ld-linux" in text else (None, None)


def _linux_model(
    getprop: Mapping[str, str], tree: Mapping[str, str], cpuinfo: Mapping[str, str], values: Mapping[str, str]
) -> str:
    """Of a server without a device tree and without a CPU's name (ARM), what its firmware calls it."""
    firmware = (values.get(f"/sys/class/dmi/id/{name}", "") for name in ("sys_vendor", "product_name"))
    return (
        getprop.get("ro.product.model")
        or tree.get("model")
        or cpuinfo.get("Model")
        or cpuinfo.get("model name")
        or " ".join(filter(None, firmware))
    )


def _soc(getprop: Mapping[str, str], tree: Mapping[str, str], cpuinfo: Mapping[str, str]) -> str | None:
    if model := getprop.get("ro.soc.model"):  # since Android 12
        return f"{getprop.get('ro.soc.manufacturer', '')} {model}".strip()
    # Before it: Samsung's own properties first; its ro.board.platform is a family ("exynos5") or is not set.
    for name in ("ro.chipname", "ro.hardware.chipname", "ro.board.platform"):
        if getprop.get(name):
            return getprop[name]
    return _soc_of_tree(tree.get("compatible", "").split()) or cpuinfo.get("Hardware")


def _soc_of_tree(compatible: list[str]) -> str | None:
    """The last name is the SoC's, but for NVIDIA's, who end with its family ("nvidia,tegra23x"), and for
    virtual machines, which name no SoC.
    """
    names = [name for name in compatible if name != "linux,dummy-virt"]
    exact = [name for name in names if re.search(r"\dx$", name) is None]
    return next(reversed(exact or names), None)


def _disk_free(lines: list[str]) -> int | None:
    """Available bytes of `df -Pk`, read from the right because a device's name may hold spaces."""
    match = re.search(r"\s\d+\s+\d+\s+(\d+)\s+(?:\d+%|-)\s+/", lines[-1]) if lines else None
    return int(match[1]) * 1024 if match else None


def _vm_stat_available(lines: list[str]) -> int | None:
    """Free and inactive pages: what macOS can give to a new process without swapping."""
    page = re.search(r"page size of (\d+) bytes", "\n".join(lines))
    pages = _pairs(lines, ":")
    if page is None or "Pages free" not in pages or "Pages inactive" not in pages:
        return None
    return int(page[1]) * sum(int(pages[name].rstrip(".")) for name in ("Pages free", "Pages inactive"))


def _kib(text: str | None) -> int | None:
    return int(text.split()[0]) * 1024 if text else None


def _unquoted(text: str) -> str:
    return text.strip("\"'")


def _first(lines: list[str]) -> str | None:
    return lines[0].strip() if lines else None
