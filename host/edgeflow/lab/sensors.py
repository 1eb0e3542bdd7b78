"""What a lab device shows below /sys: a battery, thermal zones and CPU frequencies, as plain files.

They are there so that the code which reads them can be tried; a test sets them while the device runs
(namespaces.guest_path). Units are those of the kernel (Documentation/ABI/testing, sysfs-class-power):
microampere, microvolt, milli-degree Celsius, kHz. Pure.
"""

from __future__ import annotations

BATTERY = "/sys/class/power_supply/battery"
THERMAL = "/sys/class/thermal"
_CPU = "/sys/devices/system/cpu"


def sensor_files(cores: int, *, max_khz: int) -> dict[str, str]:
    """Path to content for a device with this many cores, on battery at 2.0 W and at rest at 30 °C."""
    battery = {
        "type": "Battery",
        "status": "Discharging",
        "present": "1",
        "capacity": "80",
        "current_now": "-500000",  # negative while discharging, as most phones have it
        "voltage_now": "4000000",
        "temp": "300",  # tenths of a degree
        "technology": "Li-ion",
    }
    files = {f"{BATTERY}/{name}": value for name, value in battery.items()}
    for zone, kind in enumerate(("cpu-thermal", "battery")):
        files[f"{THERMAL}/thermal_zone{zone}/type"] = kind
        files[f"{THERMAL}/thermal_zone{zone}/temp"] = "30000"
    for name in ("online", "present", "possible"):
        files[f"{_CPU}/{name}"] = f"0-{cores - 1}" if cores > 1 else "0"
    for core in range(cores):
        folder = f"{_CPU}/cpu{core}/cpufreq"
        files[f"{folder}/cpuinfo_min_freq"] = "300000"
        files[f"{folder}/cpuinfo_max_freq"] = str(max_khz)
        files[f"{folder}/scaling_max_freq"] = str(max_khz)
        files[f"{folder}/scaling_cur_freq"] = str(max_khz)
        files[f"{folder}/scaling_governor"] = "schedutil"
        files[f"{folder}/scaling_available_governors"] = "performance schedutil"
        files[f"{folder}/related_cpus"] = " ".join(map(str, range(cores)))
    return {path: f"{value}\n" for path, value in files.items()}
