"""Every fact of the devices whose texts were put together from published captures (tests/facts/README.md)."""

from __future__ import annotations

import subprocess
from dataclasses import asdict, fields
from pathlib import Path

import pytest

from edgeflow.devices import probe
from edgeflow.devices.device import _describe
from edgeflow.devices.facts import parse_probe
from edgeflow.devices.power_sources import power_sources
from edgeflow.types import CpuCluster, DeviceFacts
from edgeflow_agent import power as agent_power

FACTS = Path(__file__).parents[2] / "facts"
KIB = 1024

EXPECTED = {
    "galaxy-s9-android-8": DeviceFacts(
        os="android",
        os_version="8.0.0",
        kernel="4.9.59-13138374",
        arch="aarch64",
        abis=("arm64-v8a", "armeabi-v7a", "armeabi"),
        libc="bionic",
        libc_version=None,
        model="SM-G960F",
        soc="exynos9810",  # before Android 12 there is no ro.soc.model, and here no ro.board.platform
        api_level=26,
        cores=8,
        clusters=(
            CpuCluster((0, 1, 2, 3), 1794.0, "Cortex-A55"),
            CpuCluster((4, 5, 6, 7), 2704.0, "Exynos-M3"),
        ),
        memory_bytes=3763108 * KIB,
        memory_available_bytes=1541220 * KIB,
        disk_free_bytes=33073676 * KIB,
        thermal_zones={
            "thermal_zone0": "BIG",
            "thermal_zone1": "LITTLE",
            "thermal_zone2": "G3D",
            "thermal_zone3": "ISP",
            "thermal_zone4": "battery",
        },
        power_sources=("power_supply:battery",),  # neither the charger nor the fuel gauge behind it
    ),
    "galaxy-s22-android-13": DeviceFacts(
        os="android",
        os_version="13",
        kernel="5.10.66-android12-9-25489753-abS901BXXU2BVKB",
        arch="aarch64",
        abis=("arm64-v8a", "armeabi-v7a", "armeabi"),
        libc="bionic",
        libc_version=None,
        model="SM-S901B",
        soc="Samsung s5e9925",
        api_level=33,
        cores=8,
        clusters=(
            CpuCluster((0, 1, 2, 3), 1824.0, "Cortex-A510"),
            CpuCluster((4, 5, 6), 2515.2, "Cortex-A710"),
            CpuCluster((7,), 2803.2, "Cortex-X2"),
        ),
        memory_bytes=7360028 * KIB,
        memory_available_bytes=2984176 * KIB,
        disk_free_bytes=53457920 * KIB,
        thermal_zones={
            "thermal_zone0": "BIG",
            "thermal_zone1": "LITTLE",
            "thermal_zone2": "MID",
            "thermal_zone3": "G3D",
            "thermal_zone4": "ISP",
            "thermal_zone5": "NPU",
            "thermal_zone6": "ac",
            "thermal_zone7": "battery",
        },
        power_sources=("power_supply:battery",),
    ),
    "rpi3-raspios-11-armhf": DeviceFacts(
        os="linux",
        os_version="Raspbian GNU/Linux 11 (bullseye)",
        kernel="5.15.84-v7+",
        arch="armv7l",
        abis=("armeabi-v7a",),
        libc="glibc",
        libc_version="2.31",
        model="Raspberry Pi 3 Model B Plus Rev 1.3",
        soc="brcm,bcm2837",
        api_level=None,
        cores=4,
        clusters=(CpuCluster((0, 1, 2, 3), 1400.0, "Cortex-A53"),),
        memory_bytes=944136 * KIB,
        memory_available_bytes=742104 * KIB,
        disk_free_bytes=10121220 * KIB,
        thermal_zones={"thermal_zone0": "cpu-thermal", "hwmon0": "cpu_thermal"},
        python_version="3.9.2",
    ),
    "rpi5-raspios-12": DeviceFacts(
        os="linux",
        os_version="Debian GNU/Linux 12 (bookworm)",
        kernel="6.12.47+rpt-rpi-v8",
        arch="aarch64",
        abis=("arm64-v8a",),
        libc="glibc",
        libc_version="2.36",
        model="Raspberry Pi 5 Model B Rev 1.0",
        soc="brcm,bcm2712",
        api_level=None,
        cores=4,
        clusters=(CpuCluster((0, 1, 2, 3), 2400.0, "Cortex-A76"),),
        memory_bytes=8255936 * KIB,
        memory_available_bytes=7421648 * KIB,
        disk_free_bytes=50415920 * KIB,
        thermal_zones={"thermal_zone0": "cpu-thermal", "hwmon0": "cpu_thermal", "hwmon2": "rp1_adc"},
        python_version="3.11.2",
        root=True,
    ),
    "jetson-agx-orin-l4t-35": DeviceFacts(
        os="linux",
        os_version="Ubuntu 20.04.6 LTS",
        kernel="5.10.104-tegra",
        arch="aarch64",
        abis=("arm64-v8a",),
        libc="glibc",
        libc_version="2.31",
        model="NVIDIA Orin Jetson-Small Developer Kit",
        soc="nvidia,tegra234",  # its device tree ends with the family, tegra23x
        api_level=None,
        cores=12,
        clusters=(
            CpuCluster((0, 1, 2, 3), 2201.6, "Cortex-A78AE"),
            CpuCluster((4, 5, 6, 7), 2201.6, "Cortex-A78AE"),
            CpuCluster((8, 9, 10, 11), 2201.6, "Cortex-A78AE"),
        ),
        memory_bytes=31282060 * KIB,
        memory_available_bytes=28114932 * KIB,
        disk_free_bytes=34438012 * KIB,
        thermal_zones={
            "thermal_zone0": "CPU-therm",
            "thermal_zone1": "GPU-therm",
            "thermal_zone2": "CV0-therm",
            "thermal_zone3": "CV1-therm",
            "thermal_zone4": "CV2-therm",
            "thermal_zone5": "SOC0-therm",
            "thermal_zone6": "SOC1-therm",
            "thermal_zone7": "SOC2-therm",
            "thermal_zone8": "tj-therm",
            "thermal_zone9": "Tboard_tegra",
            "thermal_zone10": "Tdiode_tegra",
        },
        power_sources=(
            "hwmon:ina3221.VDDQ_VDD2_1V8AO",
            "hwmon:ina3221.VDD_GPU_SOC",
            "hwmon:ina3221.VDD_CPU_CV",
            "hwmon:ina3221.VIN_SYS_5V0",
            "hwmon:ina3221.VDD_GPU_SOC+VDD_CPU_CV+VIN_SYS_5V0",
        ),
        python_version="3.8.10",
    ),
    "orangepi5-ubuntu-22.04": DeviceFacts(
        os="linux",
        os_version="Ubuntu 22.04.3 LTS",
        kernel="5.10.160-rockchip",
        arch="aarch64",
        abis=("arm64-v8a",),
        libc="glibc",
        libc_version="2.35",
        model="Orange Pi 5",
        soc="rockchip,rk3588",
        api_level=None,
        cores=8,
        clusters=(
            CpuCluster((0, 1, 2, 3), 1800.0, "Cortex-A55"),
            CpuCluster((4, 5), 2256.0, "Cortex-A76"),  # two clusters of one kind, each with its own clock
            CpuCluster((6, 7), 2256.0, "Cortex-A76"),
        ),
        memory_bytes=7923820 * KIB,
        memory_available_bytes=7210036 * KIB,
        disk_free_bytes=22854304 * KIB,
        thermal_zones={
            f"{kind}{number}": f"{name}{suffix}"
            for kind, suffix in (("thermal_zone", "-thermal"), ("hwmon", "_thermal"))
            for number, name in enumerate(
                ("soc", "bigcore0", "bigcore1", "littlecore", "center", "gpu", "npu")
            )
        },
        power_sources=(),  # the USB-C port tells a current, twice, but it is not the board's draw
        python_version="3.10.12",
    ),
    "graviton2-amazon-2023": DeviceFacts(
        os="linux",
        os_version="Amazon Linux 2023",
        kernel="6.1.49-69.116.amzn2023.aarch64",
        arch="aarch64",
        abis=("arm64-v8a",),
        libc="glibc",
        libc_version="2.34",
        model="Amazon EC2 t4g.small",
        soc=None,
        api_level=None,
        cores=2,
        clusters=(CpuCluster((0, 1), None, "Neoverse-N1"),),
        memory_bytes=1914160 * KIB,
        memory_available_bytes=1640512 * KIB,
        disk_free_bytes=6688724 * KIB,
        python_version="3.9.16",
        hypervisor="nitro",
    ),
}
LINUX = sorted(path.stem for path in FACTS.glob("*.txt") if "@@ os-release" in path.read_text())


def text_of(name: str) -> str:
    return (FACTS / f"{name}.txt").read_text()


@pytest.mark.parametrize("fact", [field.name for field in fields(DeviceFacts)])
@pytest.mark.parametrize("name", EXPECTED)
def test_every_fact(name: str, fact: str) -> None:
    assert getattr(parse_probe(text_of(name)), fact) == getattr(EXPECTED[name], fact)


def test_each_file_of_facts_says_where_it_comes_from_and_is_in_the_readme() -> None:
    readme = (FACTS / "README.md").read_text()
    for path in FACTS.glob("*.txt"):
        first = path.read_text().partition("\n")[0]
        assert first.startswith(
            ("# captured: ", "# written by hand from documentation: ", "# put together: ")
        )
        assert f"`{path.name}`" in readme


def tree_of(name: str, root: Path) -> None:
    """Makes the files of /sys that a probe's text tells, below `root`."""
    for line in text_of(name).splitlines():
        path, found, text = line.partition("=")
        if not found or not path.startswith("/sys/"):
            continue
        file = root / path[1:]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
        if path.startswith("/sys/class/hwmon/") and file.name == "name":
            (file.parent / "temp1_input").write_text("41000\n")


@pytest.mark.parametrize("name", LINUX)
def test_the_probe_asks_for_all_that_the_files_tell(name: str, tmp_path: Path) -> None:
    """The real script, on a tree of /sys as the device has it."""
    tree_of(name, tmp_path)
    script = probe._SCRIPT.replace("/sys/", f"{tmp_path}/sys/").replace(f"/proc{tmp_path}/sys/", "/proc/sys/")
    argv = ["sh", "-c", script, "probe", str(tmp_path), "python3"]
    answer = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    told = answer.replace(str(tmp_path), "").splitlines()
    assert [
        line for line in text_of(name).splitlines() if line.startswith("/sys/") and line not in told
    ] == []
    assert set(parse_probe("\n".join(told)).power_sources) == set(parse_probe(text_of(name)).power_sources)


@pytest.mark.parametrize("name", LINUX)
def test_the_agent_finds_the_same_power_sources_under_the_same_names(name: str, tmp_path: Path) -> None:
    tree_of(name, tmp_path)
    found = {source.name for source in agent_power.probe(str(tmp_path))}
    assert set(parse_probe(text_of(name)).power_sources) == found


def test_an_agx_orin_is_measured_by_all_inputs_of_its_module(tmp_path: Path) -> None:
    """VIN_SYS_5V0 alone is only its memory and I/O: 3.8 W of the 10.5 W of this tree."""
    tree_of("jetson-agx-orin-l4t-35", tmp_path)
    best = agent_power.probe(str(tmp_path))[0]
    assert best.name == "hwmon:ina3221.VDD_GPU_SOC+VDD_CPU_CV+VIN_SYS_5V0"
    assert best.covers == "the module without its board (VDD_GPU_SOC+VDD_CPU_CV+VIN_SYS_5V0)"
    rows = [best.read()]
    (tmp_path / "sys/class/hwmon/hwmon3/curr2_input").write_text("96\n")
    rows.append(best.read())
    found = best.series([0, 10**9], rows)
    idle_uw = 288 * 19104 + 64 * 19104 + 752 * 5016
    assert list(found.values) == [idle_uw, idle_uw + 32 * 19104]
    assert found.step == 32 * 19104 and "the sum of 3 rails" in found.assumed


def test_rails_of_an_orin_nano_are_named_by_their_labels() -> None:
    chip = "/sys/class/hwmon/hwmon1"
    lines = [f"{chip}/name=ina3221"]
    for number, rail in enumerate(("VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"), start=1):
        lines += [
            f"{chip}/curr{number}_input=1000",
            f"{chip}/in{number}_input=5000",
            f"{chip}/in{number}_label={rail}",
        ]
    assert power_sources(lines) == (
        "hwmon:ina3221.VDD_IN",
        "hwmon:ina3221.VDD_CPU_GPU_CV",
        "hwmon:ina3221.VDD_SOC",
    )
    assert power_sources(line for line in lines if "label" not in line) == (
        "hwmon:ina3221.curr1",
        "hwmon:ina3221.curr2",
        "hwmon:ina3221.curr3",
    )


@pytest.mark.parametrize(
    ("lines", "sources"),
    [
        (["powercap/intel-rapl:0/name=package-0"], ("powercap:package-0",)),
        (
            ["powercap/intel-rapl:0/name=package-0", "powercap/intel-rapl:0:1/name=core"],
            ("powercap:package-0", "powercap:package-0.core"),
        ),
        (["powercap/intel-rapl-mmio:0/name=package-0"], ()),  # the same package once more
        (["power_supply/BAT0/type=Battery", "power_supply/BAT0/power_now=9"], ("power_supply:BAT0",)),
        (["power_supply/BAT0/type=Battery"], ()),  # it tells no draw
        (["power_supply/AC/type=Mains", "power_supply/AC/current_now=9"], ()),
        (
            [
                "power_supply/hid-mouse/type=Battery",
                "power_supply/hid-mouse/scope=Device",
                "power_supply/hid-mouse/current_now=9",
            ],
            (),
        ),
        (  # the kernel shows a power supply once more as a hwmon chip
            [
                "power_supply/macsmc-battery/type=Battery",
                "power_supply/macsmc-battery/power_now=9",
                "hwmon/hwmon0/name=macsmc_battery",
                "hwmon/hwmon0/power1_input=9",
            ],
            ("power_supply:macsmc-battery",),
        ),
        (["hwmon/hwmon0/name=amdgpu", "hwmon/hwmon0/power1_average=9"], ("hwmon:amdgpu.power1",)),
        (
            ["hwmon/hwmon0/name=amdgpu", "hwmon/hwmon0/power1_input=9", "hwmon/hwmon0/power1_label=PPT"],
            ("hwmon:amdgpu.PPT",),
        ),
        (["hwmon/hwmon0/name=max20730", "hwmon/hwmon0/curr1_input=9", "hwmon/hwmon0/in1_input=9"], ()),
    ],
)
def test_what_is_a_power_source(lines: list[str], sources: tuple[str, ...]) -> None:
    assert power_sources(f"/sys/class/{line}" for line in lines) == sources


def test_cores_with_a_clock_each_are_one_cluster() -> None:
    text = text_of("graviton2-amazon-2023")
    for cpu in (0, 1):
        folder = f"/sys/devices/system/cpu/cpu{cpu}/cpufreq"
        told = f"{folder}/cpuinfo_max_freq=3000000\n{folder}/related_cpus={cpu}\n"
        text = text.replace("@@ device-tree", told + "@@ device-tree")
    assert parse_probe(text).clusters == (CpuCluster((0, 1), 3000.0, "Neoverse-N1"),)


def test_an_arm_virtual_machine_has_no_soc() -> None:
    text = text_of("graviton2-amazon-2023").replace(
        "@@ device-tree", "@@ device-tree\nmodel=linux,dummy-virt \ncompatible=linux,dummy-virt "
    )
    assert parse_probe(text).soc is None


def test_the_soc_of_a_jetson_nano_ends_its_device_tree() -> None:
    text = text_of("jetson-agx-orin-l4t-35").replace(
        "compatible=nvidia,p3737-0000+p3701-0005 nvidia,p3701-0005 nvidia,tegra234 nvidia,tegra23x",
        "compatible=nvidia,p3449-0000-b00+p3448-0000-b00 nvidia,jetson-nano nvidia,tegra210",
    )
    assert parse_probe(text).soc == "nvidia,tegra210"


def test_a_samsung_of_android_11_tells_its_chip_by_another_property() -> None:
    text = text_of("galaxy-s9-android-8").replace(
        "ro.chipname=exynos9810", "ro.hardware.chipname=exynos9820\nro.board.platform=exynos5"
    )
    assert parse_probe(text).soc == "exynos9820"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("galaxy-s22-android-13", "no Python, not root"),
        ("rpi3-raspios-11-armhf", "Python 3.9.2, not root"),
        ("rpi5-raspios-12", "Python 3.11.2, root"),
    ],
)
def test_check_says_whether_it_is_root_and_has_python(name: str, said: str) -> None:
    assert _describe(parse_probe(text_of(name))).endswith(said)


@pytest.mark.parametrize(
    ("name", "python", "root"),
    [("galaxy-s22-android-13", "none was found", "no"), ("rpi5-raspios-12", "3.11.2", "yes")],
)
def test_facts_show_root_and_python(name: str, python: str, root: str) -> None:
    from rich.console import Console

    from edgeflow.cli.render import facts_view

    console = Console(width=200)
    with console.capture() as capture:
        console.print(facts_view({"facts": asdict(parse_probe(text_of(name)))}))
    rows = {row.split()[0]: row.split(maxsplit=1)[1].strip() for row in capture.get().splitlines()}
    assert (rows["python_version"], rows["root"]) == (python, root)
