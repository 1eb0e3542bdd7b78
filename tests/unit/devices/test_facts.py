"""Facts out of probe texts, captured from a device or written by hand after its documentation."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from edgeflow.devices.facts import parse_probe, work_dir_of
from edgeflow.errors import DeviceError
from edgeflow.types import CpuCluster

FACTS = Path(__file__).parents[2] / "facts"


def text_of(name: str) -> str:
    return (FACTS / f"{name}.txt").read_text()


def test_a_kvm_machine_is_real_hardware_with_a_hypervisor() -> None:
    facts = parse_probe(text_of("debian12-x86_64-kvm"))
    assert (facts.os, facts.arch, facts.abis) == ("linux", "x86_64", ("x86_64",))
    assert (facts.libc, facts.libc_version) == ("glibc", "2.36")
    assert facts.model == "AMD EPYC"
    assert facts.clusters == (CpuCluster((0, 1), None),)
    assert facts.memory_bytes == 24684084 * 1024
    assert facts.disk_free_bytes is not None
    assert facts.thermal_zones == {}
    assert not facts.emulated
    assert facts.hypervisor == "kvm"


def test_a_raspberry_pi_is_what_its_device_tree_says_not_its_hardware_line() -> None:
    facts = parse_probe(text_of("rpi4-raspios-12"))
    assert facts.model == "Raspberry Pi 4 Model B Rev 1.4"
    assert facts.soc == "brcm,bcm2711"
    assert facts.abis == ("arm64-v8a",)
    assert facts.clusters == (CpuCluster((0, 1, 2, 3), 1800.0, "Cortex-A72"),)
    assert facts.thermal_zones == {"thermal_zone0": "cpu-thermal", "hwmon0": "cpu_thermal"}
    assert (facts.python_version, facts.root) == ("3.11.2", False)
    assert (facts.emulated, facts.hypervisor) == (False, None)


def test_a_phone_has_three_clusters_bionic_and_a_battery() -> None:
    facts = parse_probe(text_of("pixel7-android-14"))
    assert (facts.os, facts.os_version, facts.api_level) == ("android", "14", 34)
    assert (facts.model, facts.soc) == ("Pixel 7", "Google GS201")
    assert facts.libc == "bionic"
    assert facts.clusters == (
        CpuCluster((0, 1, 2, 3), 1803.0, "Cortex-A55"),
        CpuCluster((4, 5), 2348.0, "Cortex-A78"),
        CpuCluster((6, 7), 2850.0, "Cortex-X1"),
    )
    assert facts.power_sources == ("power_supply:battery",)
    assert facts.thermal_zones["thermal_zone0"] == "BIG"
    assert facts.disk_free_bytes == 74785680 * 1024
    assert facts.python_version is None
    assert not facts.emulated


def test_a_mac_has_kinds_of_cores_and_tells_no_sensors() -> None:
    facts = parse_probe(text_of("macbook-air-m2"))
    assert (facts.os, facts.os_version, facts.libc) == ("darwin", "macOS 14.5", "libSystem")
    assert facts.model == "Apple M2 (Mac14,2)"
    assert [(len(cluster.cores), cluster.part) for cluster in facts.clusters] == [
        (4, "Performance"),
        (4, "Efficiency"),
    ]
    assert facts.memory_available_bytes == (18342 + 326420) * 16384
    assert facts.disk_free_bytes == 239183140 * 1024
    assert facts.power_sources == ()
    assert work_dir_of(text_of("macbook-air-m2")) == PurePosixPath(
        "/Users/me/Library/Application Support/edgeflow/device"
    )


def test_a_32_bit_system_on_a_64_bit_kernel_comes_first() -> None:
    text = text_of("rpi4-raspios-12").replace("@@ bits\n64", "@@ bits\n32")
    assert parse_probe(text).abis == ("armeabi-v7a", "arm64-v8a")


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("rpi4-raspios-12", "kernel/arch=aarch64", "kernel/arch=x86_64"),  # qemu-user
        ("rpi4-raspios-12", "/proc/sys/kernel/arch=aarch64\n", ""),
        ("rpi4-raspios-12", "BogoMIPS\t: 108.00", "BogoMIPS\t: 125.00"),  # qemu-system, before 9.1
        ("rpi4-raspios-12", "BogoMIPS\t: 108.00", "BogoMIPS\t: 2000.00"),  # and after
        ("rpi4-raspios-12", "CPU implementer\t: 0x41", "CPU implementer\t: 0x00"),  # -cpu max
        ("pixel7-android-14", "ro.hardware=panther", "ro.hardware=ranchu\nro.kernel.qemu=1"),
        ("macbook-air-m2", "proc_translated: 0", "proc_translated: 1"),
        ("debian12-x86_64-kvm", "AuthenticAMD", "VirtualApple"),
    ],
)
def test_emulators_are_told_apart(name: str, old: str, new: str) -> None:
    text = text_of(name).replace(old, new)
    assert text != text_of(name)
    if not new:  # an older kernel does not tell its architecture, but its CPU's modalias does
        text = text.replace("cpu:type:aarch64", "cpu:type:x86,ven0000")
    assert parse_probe(text).emulated


def test_a_tcg_guest_on_x86_is_emulated_but_the_same_name_under_kvm_is_not() -> None:
    kvm = text_of("debian12-x86_64-kvm").replace("AMD EPYC", "QEMU Virtual CPU version 2.5+")
    assert not parse_probe(kvm).emulated
    assert parse_probe(kvm.replace("kvm-clock", "hpet")).emulated


def test_an_arm_server_with_an_architected_1_ghz_timer_is_real() -> None:
    text = text_of("rpi4-raspios-12").replace("108.00", "2000.00").replace("0xd08", "0xd4f")
    facts = parse_probe(text)
    assert facts.clusters[0].part == "Neoverse-V2"
    assert not facts.emulated


def test_favoured_cores_of_an_x86_are_no_cluster_of_their_own() -> None:
    speeds = "".join(
        f"/sys/devices/system/cpu/cpu{cpu}/cpufreq/cpuinfo_max_freq={khz}\n"
        for cpu, khz in enumerate((5400000, 5200000))
    )
    text = text_of("debian12-x86_64-kvm").replace("@@ values\n", "@@ values\n" + speeds)
    assert parse_probe(text).clusters == (CpuCluster((0, 1), 5400.0),)


def test_hybrid_x86_has_its_two_kinds() -> None:
    kinds = "/sys/devices/cpu_core/cpus=0\n/sys/devices/cpu_atom/cpus=1\n"
    text = text_of("debian12-x86_64-kvm").replace("@@ values\n", "@@ values\n" + kinds)
    assert [cluster.part for cluster in parse_probe(text).clusters] == ["P-core", "E-core"]


def test_musl_and_unknown_libc() -> None:
    text = text_of("debian12-x86_64-kvm")
    before, _, _ = text.partition("@@ libc\n")
    musl = "@@ libc\n/lib/ld-musl-x86_64.so.1\nmusl libc (x86_64)\nVersion 1.2.5\n@@ end\n"
    assert parse_probe(before + musl).libc == "musl"
    assert parse_probe(before + musl).libc_version == "1.2.5"
    assert parse_probe(before + "@@ libc\n@@ end\n").libc is None


def test_crlf_as_old_adb_shells_give_it() -> None:
    text = text_of("pixel7-android-14")
    assert parse_probe(text.replace("\n", "\r\n")) == parse_probe(text)


@pytest.mark.parametrize("text", ["", "Welcome to my server!\n", "@@ uname\nLinux\n"])
def test_what_is_no_answer_is_an_error(text: str) -> None:
    with pytest.raises(DeviceError, match="did not answer the probe"):
        parse_probe(text)


@pytest.mark.parametrize("name", ["pixel7-android-14", "macbook-air-m2"])
def test_every_cut_of_an_answer_is_an_error_never_half_the_facts(name: str) -> None:
    lines = text_of(name).splitlines(keepends=True)
    for end in range(len(lines)):
        with pytest.raises(DeviceError):
            parse_probe("".join(lines[:end]))
