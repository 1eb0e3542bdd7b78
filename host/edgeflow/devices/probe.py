"""What a device is asked about itself: one small POSIX-sh script, run through its transport."""

from __future__ import annotations

from edgeflow.devices.transports.base import Transport

_TIMEOUT_S = 30.0

# For dash, bash, mksh with toybox, BusyBox and macOS. Each section begins with "@@ name"; a file of /sys or
# /proc is told as "path=first line", and one that cannot be read is not told.
_SCRIPT = r"""
export LC_ALL=C
PATH=$PATH:/usr/sbin:/sbin
work=$1 python=$2
case $work in "~/"*) work=$HOME/${work#??} ;; esac
at() { echo "@@ $1"; }
has() { command -v "$1" >/dev/null 2>&1; }
value() {
  for file in "$@"; do
    line=; { IFS= read -r line < "$file"; } 2>/dev/null
    [ -n "$line" ] && echo "$file=$line"
  done
}
at uname; uname -s; uname -r; uname -m
at id; id -u
at work; echo "$work"
at nproc; nproc 2>/dev/null || getconf _NPROCESSORS_ONLN
at bits; getconf LONG_BIT 2>/dev/null
at python; "$python" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null
at df; dir=$work; while [ ! -d "$dir" ]; do dir=$(dirname "$dir"); done; df -Pk "$dir"
if [ "$(uname -s)" = Darwin ]; then
  at sw_vers; sw_vers
  at sysctl
  for key in hw.model hw.memsize machdep.cpu.brand_string hw.nperflevels hw.perflevel0.name \
    hw.perflevel0.logicalcpu hw.perflevel1.name hw.perflevel1.logicalcpu sysctl.proc_translated \
    kern.hv_vmm_present; do sysctl "$key" 2>/dev/null; done
  at vm_stat; vm_stat
  at end
  exit 0
fi
at os-release; cat /etc/os-release 2>/dev/null || cat /usr/lib/os-release 2>/dev/null
at getprop
if has getprop; then
  for key in ro.product.manufacturer ro.product.model ro.build.version.release ro.build.version.sdk \
    ro.product.cpu.abilist ro.soc.manufacturer ro.soc.model ro.chipname ro.hardware.chipname \
    ro.board.platform ro.hardware ro.kernel.qemu ro.boot.qemu; do
    line=$(getprop "$key"); [ -n "$line" ] && echo "$key=$line"
  done
fi
at cpuinfo
grep -E '^(processor|vendor_id|model name|BogoMIPS|CPU implementer|CPU part|Hardware|Model)' /proc/cpuinfo
grep -E -m 1 '^flags' /proc/cpuinfo
at meminfo; grep -E '^(MemTotal|MemAvailable)' /proc/meminfo
at values
value /proc/sys/kernel/arch /sys/devices/system/cpu/online /sys/devices/system/cpu/modalias
value /sys/devices/system/cpu/cpu[0-9]*/cpufreq/cpuinfo_max_freq
value /sys/devices/system/cpu/cpu[0-9]*/cpufreq/related_cpus
value /sys/devices/cpu_core/cpus /sys/devices/cpu_atom/cpus
value /sys/devices/system/clocksource/clocksource0/available_clocksource
value /sys/hypervisor/type /sys/class/dmi/id/sys_vendor /sys/class/dmi/id/product_name
value /sys/class/thermal/thermal_zone*/type
for dir in /sys/class/hwmon/hwmon*; do
  for file in "$dir"/temp*_input; do [ -r "$file" ] && { value "$dir/name"; break; }; done
done
at device-tree
for file in model compatible; do
  [ -r /proc/device-tree/$file ] && { printf '%s=' $file; tr '\0' ' ' < /proc/device-tree/$file; echo; }
done
at power
for dir in /sys/class/power_supply/*; do
  value "$dir/type" "$dir/scope" "$dir/power_now" "$dir/current_now"
done
for dir in /sys/class/powercap/*; do [ -r "$dir/energy_uj" ] && value "$dir/name"; done
for dir in /sys/class/hwmon/*; do
  for file in "$dir"/power*_input "$dir"/power*_average "$dir"/curr*_input; do
    [ -r "$file" ] && {
      value "$dir/name" "$dir"/power*_input "$dir"/power*_average "$dir"/power*_label
      value "$dir"/curr*_input "$dir"/in*_input "$dir"/in*_label
      break
    }
  done
done
at libc
for file in /system/bin/linker64 /system/bin/linker /lib/ld-musl-*.so.1 /lib/ld-linux*.so.* \
  /lib64/ld-linux*.so.*; do [ -e "$file" ] && echo "$file"; done
has getconf && getconf GNU_LIBC_VERSION 2>/dev/null
has ldd && ldd --version 2>&1 | head -n 2
at end
"""


def run_probe(transport: Transport, *, work_dir: str, python: str) -> str:
    """The probe's text, for facts.py. Free space is that of `work_dir` ("~/" is the login folder) or of the
    folder it will be made in.

    Raises DeviceError when the device cannot be reached or has no POSIX shell.
    """
    argv = ["sh", "-c", _SCRIPT, "probe", work_dir, python]
    # The exit code is that of the script's last command and says nothing; parse_probe sees what is missing.
    completed = transport.run(argv, timeout_s=_TIMEOUT_S)
    if not completed.stdout:
        completed.require_success("the probe of the device")
    return completed.text
