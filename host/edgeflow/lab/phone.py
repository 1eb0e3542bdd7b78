"""What makes a Debian with adbd a phone: a layer with Android's folders, shell, tools and properties.

mksh and toybox are the very programs that Android ships. Not there: the framework, bionic, install, logcat.
"""

from __future__ import annotations

import os
from importlib.resources import as_file, files
from pathlib import Path

from edgeflow.lab.adbd_patch import require_keys
from edgeflow.lab.catalogue import ADB_PORT, LabDevice, LabFolder
from edgeflow.lab.commands import LabError, run
from edgeflow.lab.rootfs import SHELL_UID, cached, emulator

ADBD = "usr/lib/android-sdk/platform-tools/adbd"
# What a phone's adbd runs with (AOSP daemon/main.cpp): input, log, sdcard, inet, ...
SHELL_GROUPS = [1004, 1007, 1011, 1015, 1028, 3001, 3002, 3003, 3006]
PHONE_ENVIRONMENT = {
    "PATH": "/product/bin:/system/bin:/system/xbin:/vendor/bin",
    "ANDROID_ROOT": "/system",
    "ANDROID_DATA": "/data",
    "EXTERNAL_STORAGE": "/sdcard",
    "HOME": "/",
    "TMPDIR": "/data/local/tmp",
    "LD_PRELOAD": "/system/lib64/libproperties.so",
}
_LAYOUT = 1
_NOT_TOYBOX = frozenset({"sh", "su", "login", "httpd", "toybox", "["})

# Reads the properties of the phone, and those that setprop wrote over them.
_GETPROP = r"""#!/system/bin/sh
files="/data/property/persist.prop /system/build.prop"
if [ $# -gt 0 ]; then
  for file in $files; do
    [ -r $file ] && while IFS= read -r line; do
      case $line in "$1="*) echo "${line#*=}"; exit 0 ;; esac
    done < $file
  done
  echo "$2"
  exit 0
fi
for file in $files; do
  [ -r $file ] && while IFS= read -r line; do
    case $line in *=*) echo "[${line%%=*}]: [${line#*=}]" ;; esac
  done < $file
done
exit 0
"""
_SETPROP = r"""#!/system/bin/sh
[ $# -eq 2 ] || { echo "usage: setprop NAME VALUE" >&2; exit 1; }
file=/data/property/persist.prop
{ echo "$1=$2"; [ -r $file ] && grep -v "^$1=" $file; } > $file.new
mv $file.new $file
"""


def phone_layer(folder: LabFolder, debian: Path) -> Path:
    """The layer over the arm64 Debian, built once. Raises LabError, ToolMissingError."""
    programs = emulator(folder)
    made_from = [debian.name, str(_LAYOUT), _GETPROP, _SETPROP, _shim_source()]
    return cached(folder, "phone", made_from, lambda target: _build(target, debian, programs))


def locked_layer(folder: LabFolder, debian: Path) -> Path:
    """A layer that holds nothing but an adbd that asks for keys. Raises LabError."""

    def build(target: Path) -> None:
        adbd = target / ADBD
        adbd.parent.mkdir(parents=True)
        try:
            adbd.write_bytes(require_keys((debian / ADBD).read_bytes()))
        except ValueError as error:
            raise LabError(f"this Debian's adbd cannot be made to ask for keys: {error}") from error
        adbd.chmod(0o755)

    return cached(folder, "phone-locked", [debian.name, str(_LAYOUT)], build)


def properties(device: LabDevice) -> str:
    """The phone's build.prop. Emulators say `ro.kernel.qemu=1`, and so does this one."""
    pairs = {
        "ro.product.name": "edgelab_arm64",
        "ro.product.model": device.model,
        "ro.product.device": "edgelab",
        "ro.product.manufacturer": "Edgeflow",
        "ro.product.brand": "edgeflow",
        "ro.board.platform": "virt",
        "ro.hardware": "virt",
        "ro.kernel.qemu": "1",
        "ro.product.cpu.abi": "arm64-v8a",
        "ro.product.cpu.abilist": "arm64-v8a",
        "ro.product.cpu.abilist64": "arm64-v8a",
        "ro.build.version.release": "13",
        "ro.build.version.sdk": "33",
        "ro.build.type": "user",
        "ro.serialno": device.name,
        "service.adb.tcp.port": str(ADB_PORT),
        "sys.boot_completed": "1",
    }
    return "".join(f"{key}={value}\n" for key, value in pairs.items())


def _build(target: Path, debian: Path, programs: Path) -> None:
    for name in (
        "system/bin",
        "system/lib64",
        "vendor/bin",
        "data/local/tmp",
        "data/misc/adb",
        "data/property",
    ):
        (target / name).mkdir(parents=True)
    for name in ("data/local", "data/local/tmp", "data/property"):
        os.chown(target / name, SHELL_UID, SHELL_UID)
    for name in ("data", "data/local", "data/local/tmp"):
        (target / name).chmod(0o771)
    shell = target / "system/bin"
    for program, name in (("usr/bin/mksh", "sh"), ("usr/bin/toybox", "toybox")):
        (shell / name).write_bytes((debian / program).read_bytes())
        (shell / name).chmod(0o755)
    toybox = [str(programs / "qemu-aarch64"), "-L", str(debian), str(debian / "usr/bin/toybox")]
    for applet in run(toybox, "ask toybox for its commands", timeout_s=60).split():
        if applet not in _NOT_TOYBOX:
            (shell / applet).symlink_to("toybox")
    for name, script in (("getprop", _GETPROP), ("setprop", _SETPROP)):
        (shell / name).unlink(missing_ok=True)
        (shell / name).write_text(script)
        (shell / name).chmod(0o755)
    # adbd starts /bin/sh here, where a phone's starts /system/bin/sh.
    (target / "usr/bin").mkdir(parents=True)
    (target / "usr/bin/sh").symlink_to("/system/bin/sh")
    with as_file(files("edgeflow.lab") / "properties.c") as source:
        compiler = ["aarch64-linux-gnu-gcc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o"]
        run([*compiler, str(target / "system/lib64/libproperties.so"), str(source)], "compile", timeout_s=120)


def _shim_source() -> str:
    return (files("edgeflow.lab") / "properties.c").read_text()
