"""Push of 100 MB over adb against `adb push` to the same phone by the same adb server.

The phone is the lab's (root on Linux; docs/lab.md): a real adbd, emulated. Unthrottled, the processor is the
limit; at 40 MB/s the link is, as with USB 2 and Wi-Fi. edgeflow also syncs the file to the disk and renames
it, which `adb push` does not. edgeflow's transport is open, as a deploy has it; `adb push` is a program that
starts. The pushes alternate, so that a busy moment hits both. The median of the pairs' ratios counts.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from edgeflow.devices.transports.adb import AdbTransport
from edgeflow.devices.transports.adb_server import adb_program
from edgeflow.errors import EdgeflowError
from edgeflow.lab import lab as labs
from edgeflow.lab.namespaces import Guest
from edgeflow.progress import Silent

PHONE = "lab-pixel7"
SIZE_BYTES = 100_000_000
TARGET_RATIO = 0.95
KEPT = Path(__file__).resolve().parent.parent / ".cache" / "tests" / "lab"


def seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


@contextmanager
def running_phone(home: Path) -> Iterator[Guest]:
    """A phone of its own, and what takes long to build where the tests keep it."""
    (home / "lab").mkdir(parents=True)
    for name in ("images", "keys"):
        (KEPT / name).mkdir(parents=True, exist_ok=True)
        (home / "lab" / name).symlink_to(KEPT / name)
    try:
        labs.up([PHONE], home, Silent())
        yield labs.running_guest(PHONE, home)
    finally:
        labs.down([], home)


@contextmanager
def throttled(guest: Guest, mbyte_per_s: int) -> Iterator[None]:
    """The link to the phone at this speed; 0 leaves it as it is."""
    if not mbyte_per_s:
        yield
        return
    tc = ["tc", "qdisc"]
    limit = f"tbf rate {8 * mbyte_per_s}mbit burst 256kb latency 50ms"
    subprocess.run([*tc, "add", "dev", guest.link, "root", *limit.split()], check=True)
    try:
        yield
    finally:
        subprocess.run([*tc, "del", "dev", guest.link, "root"], check=True)


def compare(guest: Guest, source: Path, mbyte_per_s: int, pairs: int) -> bool:
    """One comparison, printed. Whether it holds."""
    address = f"{guest.address}:{guest.port}"
    ours, theirs = PurePosixPath("/data/local/tmp/ours"), "/data/local/tmp/theirs"
    program = [adb_program(), "-s", address, "push", str(source), theirs]

    transport = AdbTransport(PHONE, address=address)

    def push() -> None:
        transport.push(source, ours)

    def peer() -> None:
        subprocess.run(program, check=True, capture_output=True)

    push()  # the first ones read the file from the disk
    peer()
    times: list[tuple[float, float]] = []
    with throttled(guest, mbyte_per_s):
        for number in range(pairs):
            if number % 2:
                second, first = seconds(peer), seconds(push)
            else:
                first, second = seconds(push), seconds(peer)
            times.append((first, second))
    same = transport.run(["cmp", str(ours), theirs], timeout_s=60)
    transport.close()
    assert same.exit_code == 0, same.stderr
    our_s, their_s = (statistics.median(column) for column in zip(*times, strict=True))
    ratio = statistics.median(their / our for our, their in times)
    link = f"at {mbyte_per_s} MB/s" if mbyte_per_s else "unthrottled"
    print(
        f"push of {SIZE_BYTES / 1e6:.0f} MB {link}: edgeflow {SIZE_BYTES / 1e6 / our_s:.0f} MB/s, "
        f"adb push {SIZE_BYTES / 1e6 / their_s:.0f} MB/s, ratio {ratio:.2f} (medians {their_s / our_s:.2f}, "
        f"{pairs} pairs, target {TARGET_RATIO})",
        flush=True,
    )
    return ratio >= TARGET_RATIO


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=25, help="unthrottled; a third of that at 40 MB/s")
    pairs = parser.parse_args().pairs
    with tempfile.TemporaryDirectory() as name, socket.socket() as probe:
        folder = Path(name)
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        os.environ |= {"HOME": name, "ANDROID_ADB_SERVER_PORT": str(port)}
        os.environ.pop("ADB_SERVER_SOCKET", None)
        source = folder / "source"
        source.write_bytes(os.urandom(SIZE_BYTES))
        try:
            with running_phone(folder / "home") as guest:
                try:
                    held = [compare(guest, source, 0, pairs), compare(guest, source, 40, max(3, pairs // 3))]
                finally:
                    subprocess.run([adb_program(), "kill-server"], check=False, capture_output=True)
        except EdgeflowError as error:
            print(f"not measured: {error.message} ({error.hint})")
            return 0
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
