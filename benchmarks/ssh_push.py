"""Push of 100 MB over SSH against scp on the same link, connecting included: at least 0.95 of its speed.

The link is loopback to an sshd of its own, so that the processor is the limit: the hardest case for us.
edgeflow also hashes the file, and syncs it to the disk; scp does neither.
The pushes alternate, and the median of the pairs' ratios counts.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from edgeflow.config.devices import DeviceSpec
from edgeflow.devices.transports.ssh import SshTransport

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from sshd import MISSING, SSHD, running_sshd

SIZE_BYTES = 100_000_000
ROUNDS = 15
TARGET_RATIO = 0.95


def seconds(action: Callable[[], None]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def main() -> int:
    if SSHD is None:
        print(f"not measured: {MISSING}")
        return 0
    with tempfile.TemporaryDirectory() as name, running_sshd(Path(name) / "sshd") as server:
        folder = Path(name)
        source, ours, theirs = folder / "source", folder / "ours", folder / "theirs"
        source.write_bytes(os.urandom(SIZE_BYTES))
        os.environ["HOME"] = str(server.home)
        os.environ.pop("SSH_AUTH_SOCK", None)
        spec = DeviceSpec.model_validate({"name": "loopback", **server.entry()})
        options = (
            "-i",
            f"{server.ssh_dir}/id_ed25519",
            "-o",
            f"UserKnownHostsFile={server.ssh_dir}/known_hosts",
        )
        scp = [
            "scp",
            "-q",
            "-P",
            str(server.port),
            *options,
            str(source),
            f"{server.user}@127.0.0.1:{theirs}",
        ]

        def push() -> None:
            transport = SshTransport(spec)
            transport.push(source, PurePosixPath(ours))
            transport.close()

        def peer() -> None:
            subprocess.run(scp, check=True)

        push()  # the first one imports paramiko
        times: list[tuple[float, float]] = []
        for number in range(ROUNDS):  # one after the other, so that a busy moment hits both
            if number % 2:
                theirs_s, ours_s = seconds(peer), seconds(push)
            else:
                ours_s, theirs_s = seconds(push), seconds(peer)
            times.append((ours_s, theirs_s))
        assert ours.read_bytes() == theirs.read_bytes() == source.read_bytes()
    our_s, their_s = (statistics.median(column) for column in zip(*times, strict=True))
    ratio = statistics.median(their / our for our, their in times)
    print(
        f"push of {SIZE_BYTES / 1e6:.0f} MB: edgeflow {SIZE_BYTES / 1e6 / our_s:.0f} MB/s, "
        f"scp {SIZE_BYTES / 1e6 / their_s:.0f} MB/s, ratio {ratio:.2f} "
        f"(median of {ROUNDS} pairs; of the medians {their_s / our_s:.2f}; target {TARGET_RATIO})"
    )
    return 0 if ratio >= TARGET_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
