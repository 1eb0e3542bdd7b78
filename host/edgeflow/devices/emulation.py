"""Whether a device is an emulator, whose times prove nothing, or only a virtual machine. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from edgeflow.devices.arm_parts import timer_is_slow

_ANDROID_EMULATORS = ("goldfish", "ranchu", "cutf_cvm", "vsoc")
_FAMILIES = {
    "arm": "arm",
    "aar": "arm",
    "x86": "x86",
    "i38": "x86",
    "i68": "x86",
    "amd": "x86",
    "ris": "riscv",
}


def is_emulated(
    arch: str,
    *,
    values: Mapping[str, str],
    getprop: Mapping[str, str],
    cpuinfo: Mapping[str, str],
    sysctl: Mapping[str, str],
    cores: tuple[str, ...],
) -> bool:
    """Whether instructions are translated, or the device is a phone emulator.

    A virtual machine on hardware of its own kind (KVM, Xen, Hyper-V, Apple) computes at the hardware's speed
    and is not emulated. `cores` are the ARM core names. The evidence:
    - qemu-user: the kernel's own architecture (/proc/sys/kernel/arch, the CPU's modalias) is not uname's;
    - qemu-system on ARM: a generic timer of 62.5 MHz, or of 1 GHz on a core that never had that (BogoMIPS is
      twice the timer; QEMU, target/arm/cpu.c), or a core of implementer 0 (`-cpu max`);
    - qemu-system on x86: "QEMU" as the CPU's name and no kvm-clock;
    - Rosetta: "VirtualApple" as the CPU, or sysctl.proc_translated;
    - an Android emulator: ro.kernel.qemu, ro.boot.qemu or its board's name.
    """
    kernel = values.get("/proc/sys/kernel/arch") or _modalias_type(
        values.get("/sys/devices/system/cpu/modalias", "")
    )
    if kernel and _family(kernel) != _family(arch):
        return True
    if "1" in (
        getprop.get("ro.kernel.qemu"),
        getprop.get("ro.boot.qemu"),
        sysctl.get("sysctl.proc_translated"),
    ):
        return True
    if getprop.get("ro.hardware", "").lower() in _ANDROID_EMULATORS:
        return True
    if _family(arch) == "arm":
        bogomips = cpuinfo.get("BogoMIPS", "")
        invented = any(core.startswith("0x00/") for core in cores)
        return invented or bogomips == "125.00" or (bogomips == "2000.00" and any(map(timer_is_slow, cores)))
    name = cpuinfo.get("model name", "")
    return "VirtualApple" in name + cpuinfo.get("vendor_id", "") or (
        "QEMU" in name and not _kvm_clock(values)
    )


def hypervisor_of(
    *, values: Mapping[str, str], cpuinfo: Mapping[str, str], sysctl: Mapping[str, str]
) -> str | None:
    """The hypervisor's name; "unknown" where only its presence is told, None where nothing is."""
    clocks = values.get("/sys/devices/system/clocksource/clocksource0/available_clocksource", "")
    vendor = values.get("/sys/class/dmi/id/sys_vendor", "")
    if kind := values.get("/sys/hypervisor/type"):
        return kind
    if _kvm_clock(values):
        return "kvm"
    if "hyperv" in clocks or ("Microsoft" in vendor and "hypervisor" in cpuinfo.get("flags", "").split()):
        return "hyper-v"
    for word, name in (
        ("VMware", "vmware"),
        ("innotek", "virtualbox"),
        ("QEMU", "qemu"),
        ("Amazon", "nitro"),
    ):
        if word in vendor and (
            name != "nitro" or "metal" not in values.get("/sys/class/dmi/id/product_name", "")
        ):
            return name
    if sysctl.get("kern.hv_vmm_present") == "1":
        return "apple"
    return "unknown" if "hypervisor" in cpuinfo.get("flags", "").split() else None


def _kvm_clock(values: Mapping[str, str]) -> bool:
    return "kvm-clock" in values.get("/sys/devices/system/clocksource/clocksource0/available_clocksource", "")


def _modalias_type(modalias: str) -> str:
    """The architecture in "cpu:type:x86,ven0002fam…" or "cpu:type:aarch64:feature:…"."""
    _, _, rest = modalias.partition("cpu:type:")
    return rest.replace(",", ":").split(":")[0]


def _family(arch: str) -> str:
    return _FAMILIES.get(arch[:3].lower(), arch)
