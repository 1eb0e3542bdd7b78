"""The local transport with real processes: big streams, peers that hang, die or talk too much."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from edgeflow.devices.transports.base import ChannelClosed, DeviceTimeout
from edgeflow.devices.transports.local import LocalTransport
from edgeflow.errors import DeviceError, UsageError

PYTHON = sys.executable
ECHO = "import sys, shutil; shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer)"


@pytest.fixture
def local() -> Iterator[LocalTransport]:
    transport = LocalTransport("bench-machine")
    yield transport
    transport.close()


def read_exactly(channel: object, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = channel.read(count - len(data), timeout_s=20)  # type: ignore[attr-defined]
        assert piece, "the stream ended early"
        data += piece
    return data


def names(folder: Path | PurePosixPath) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # A zombie that nobody has reaped yet is dead as well.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


class TestRun:
    def test_output_input_and_exit_code(self, local: LocalTransport) -> None:
        done = local.run(["sh", "-c", "cat; echo oops >&2; exit 3"], timeout_s=10, stdin=b"\x00\xffdata")
        assert (done.exit_code, done.stdout, done.stderr) == (3, b"\x00\xffdata", b"oops\n")
        with pytest.raises(DeviceError, match="cannot list: sh exited 3: oops"):
            done.require_success("cannot list")

    def test_no_shell_reads_the_arguments(self, local: LocalTransport) -> None:
        assert local.run(["echo", "$HOME; *", "a b"], timeout_s=10).text == "$HOME; * a b\n"

    def test_more_output_than_a_pipe_holds(self, local: LocalTransport) -> None:
        data = os.urandom(3 << 20)
        assert local.run(["cat"], timeout_s=20, stdin=data).stdout == data

    def test_missing_programs_and_signals_are_told_as_a_shell_does(
        self, local: LocalTransport, tmp_path: Path
    ) -> None:
        plain = tmp_path / "plain"
        plain.write_text("no program")
        assert local.run(["no-such-program"], timeout_s=5).exit_code == 127
        assert local.run([str(plain)], timeout_s=5).exit_code == 126
        assert local.run(["sh", "-c", "kill -9 $$"], timeout_s=5).exit_code == 128 + signal.SIGKILL

    def test_a_command_that_hangs_is_killed_with_its_children(
        self, local: LocalTransport, tmp_path: Path
    ) -> None:
        pid_file = tmp_path / "pid"
        script = f"sleep 600 & echo $! > {pid_file}; wait"
        with pytest.raises(DeviceTimeout, match=r"bench-machine: `sh -c .* did not end within 0.5 s"):
            local.run(["sh", "-c", script], timeout_s=0.5)
        assert gone(int(pid_file.read_text()))


class TestFiles:
    def test_push_and_pull_keep_the_bytes_and_the_executable_bit(
        self, local: LocalTransport, tmp_path: Path
    ) -> None:
        source = tmp_path / "tool"
        source.write_bytes(os.urandom(2_500_000))
        source.chmod(0o755)
        target = PurePosixPath(tmp_path / "deep" / "er" / "tool")
        steps: list[tuple[int, int]] = []
        local.push(source, target, progress=lambda done, total: steps.append((done, total)))
        assert Path(target).read_bytes() == source.read_bytes()
        assert Path(target).stat().st_mode & stat.S_IXUSR
        assert steps[-1] == (2_500_000, 2_500_000)
        assert local.file_size(target) == 2_500_000
        local.pull(target, tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == source.read_bytes()
        assert names(target.parent) == ["tool"]

    def test_a_push_replaces_a_file_whole_and_empty_files_too(
        self, local: LocalTransport, tmp_path: Path
    ) -> None:
        source, target = tmp_path / "new", tmp_path / "old"
        source.write_bytes(b"")
        target.write_bytes(b"something longer")
        local.push(source, PurePosixPath(target))
        assert target.read_bytes() == b""

    def test_an_interrupted_push_leaves_the_old_file_and_nothing_else(
        self, local: LocalTransport, tmp_path: Path
    ) -> None:
        source, folder = tmp_path / "new", tmp_path / "device"
        source.write_bytes(bytes(3 << 20))
        folder.mkdir()
        (folder / "model").write_bytes(b"old")

        def interrupt(done: int, total: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            local.push(source, PurePosixPath(folder / "model"), progress=interrupt)
        assert names(folder) == ["model"]
        assert (folder / "model").read_bytes() == b"old"

    def test_a_push_that_cannot_be_written_to_its_end_leaves_nothing(
        self, local: LocalTransport, tmp_path: Path
    ) -> None:
        source = tmp_path / "big"
        source.write_bytes(bytes(4 << 20))
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
        try:
            with pytest.raises(DeviceError, match="bench-machine: cannot write"):
                local.push(source, PurePosixPath(tmp_path / "device" / "model"))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, before)
        assert names(tmp_path / "device") == []

    def test_a_full_disk(self, tmp_path: Path) -> None:
        disk = tmp_path / "disk"
        disk.mkdir()
        mount = f"mount -t tmpfs -o size=1m none {disk}"
        if subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True, check=False).returncode:
            pytest.skip("a small disk cannot be mounted here (needs unshare -rm)")
        (tmp_path / "big").write_bytes(bytes(4 << 20))
        script = f"""
import os
from pathlib import Path, PurePosixPath
from edgeflow.devices.transports.local import LocalTransport
from edgeflow.errors import DeviceError
try:
    LocalTransport("pi").push(Path({str(tmp_path / "big")!r}), PurePosixPath({str(disk / "model")!r}))
except DeviceError as error:
    print(error.message, error.hint, os.listdir({str(disk)!r}), sep="|")
"""
        done = subprocess.run(
            ["unshare", "-rm", "sh", "-c", f'{mount} && exec "$0" -c "$1"', PYTHON, script],
            capture_output=True,
            text=True,
            check=True,
        )
        message, hint, left = done.stdout.strip().split("|")
        assert message == f"pi: cannot write {disk}/model: no space left"
        assert "free some space" in hint
        assert left == "[]"

    def test_a_file_in_the_place_of_a_folder(self, local: LocalTransport, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        with pytest.raises(DeviceError, match="bench-machine: cannot create folder") as caught:
            local.push(tmp_path / "file", PurePosixPath(tmp_path / "file" / "model"))
        assert "work_dir" in caught.value.hint

    def test_files_that_are_not_there(self, local: LocalTransport, tmp_path: Path) -> None:
        assert local.file_size(PurePosixPath(tmp_path / "none")) is None
        assert local.file_size(PurePosixPath(tmp_path)) is None
        with pytest.raises(UsageError, match="no such file"):
            local.push(tmp_path / "none", PurePosixPath(tmp_path / "x"))
        with pytest.raises(DeviceError, match="no such file"):
            local.pull(PurePosixPath(tmp_path / "none"), tmp_path / "x")
        assert names(tmp_path) == []


class TestChannel:
    def test_bytes_come_back_unchanged_and_end_of_input_ends_the_process(self, local: LocalTransport) -> None:
        data = os.urandom(5 << 20)
        with local.open_channel([PYTHON, "-c", ECHO]) as channel:
            writer = threading.Thread(target=channel.write, args=(data,), kwargs={"timeout_s": 20})
            writer.start()
            assert read_exactly(channel, len(data)) == data
            writer.join()
            assert channel.close() == 0
            assert channel.close() == 0

    def test_reading_gives_what_is_there_without_waiting_for_more(self, local: LocalTransport) -> None:
        with local.open_channel(["cat"]) as channel:
            channel.write(b"hello", timeout_s=5)
            assert channel.read(1 << 20, timeout_s=5) == b"hello"

    def test_a_silent_peer_is_a_timeout_and_the_channel_lives_on(self, local: LocalTransport) -> None:
        with local.open_channel(["cat"]) as channel:
            with pytest.raises(DeviceTimeout, match=r"bench-machine: no answer from cat for 0.05 s"):
                channel.read(1, timeout_s=0.05)
            channel.write(b"still here", timeout_s=5)
            assert read_exactly(channel, 10) == b"still here"

    def test_a_peer_that_reads_nothing_is_a_timeout(self, local: LocalTransport) -> None:
        with local.open_channel(["sleep", "600"]) as channel:
            with pytest.raises(DeviceTimeout, match="took no input"):
                channel.write(bytes(4 << 20), timeout_s=0.2)
            channel.kill()

    def test_the_end_of_a_peer_is_the_end_of_the_stream_with_its_last_words(
        self, local: LocalTransport
    ) -> None:
        script = "import sys; print('no module named ncnn', file=sys.stderr); sys.exit(9)"
        with local.open_channel([PYTHON, "-c", script]) as channel:
            assert channel.read(1, timeout_s=20) == b""
            assert "no module named ncnn" in channel.stderr_tail()
            assert channel.close() == 9

    def test_writing_to_a_dead_peer(self, local: LocalTransport) -> None:
        with local.open_channel(["true"]) as channel:
            assert channel.read(1, timeout_s=20) == b""
            with pytest.raises(ChannelClosed, match="true ended while it was written to"):
                channel.write(bytes(1 << 20), timeout_s=5)

    def test_a_talkative_peer_does_not_block_and_the_tail_is_its_end(self, local: LocalTransport) -> None:
        script = "import sys; sys.stderr.write('x' * 2_000_000 + ' the end'); print('done', flush=True)"
        with local.open_channel([PYTHON, "-c", script]) as channel:
            assert read_exactly(channel, 5) == b"done\n"
            assert channel.read(1, timeout_s=20) == b""
            assert channel.stderr_tail().endswith("the end")
            assert len(channel.stderr_tail()) < 100_000

    def test_closing_waits_for_a_peer_that_still_prints(self, local: LocalTransport) -> None:
        script = "import sys; sys.stdin.read(); sys.stdout.write('x' * 1_000_000)"
        channel = local.open_channel([PYTHON, "-c", script])
        assert channel.close(timeout_s=20) == 0

    def test_closing_kills_a_peer_that_does_not_end(self, local: LocalTransport) -> None:
        channel = local.open_channel(["sleep", "600"])
        assert channel.close(timeout_s=0.1) == 128 + signal.SIGKILL

    def test_killing_ends_a_read_in_another_thread_and_the_whole_group(self, local: LocalTransport) -> None:
        channel = local.open_channel(["sh", "-c", "sleep 600 & echo $!; wait"])
        child = int(channel.read(100, timeout_s=10))
        ends: list[bytes] = []
        reader = threading.Thread(target=lambda: ends.append(channel.read(1, timeout_s=30)))
        reader.start()
        channel.kill()
        reader.join(20)
        assert ends == [b""]
        channel.close()
        assert gone(child)

    def test_closing_the_transport_ends_what_it_started(self) -> None:
        transport = LocalTransport()
        channel = transport.open_channel([PYTHON, "-c", "import os; print(os.getpid(), flush=True); input()"])
        pid = int(channel.read(100, timeout_s=20))
        transport.close()
        transport.close()
        assert gone(pid)

    def test_a_program_that_is_not_there(self, local: LocalTransport) -> None:
        with pytest.raises(DeviceError, match="bench-machine: cannot start no-such-program"):
            local.open_channel(["no-such-program"])

    def test_many_channels_leave_no_descriptor_open(self, local: LocalTransport) -> None:
        def open_files() -> int:
            return len(names(Path("/dev/fd")))

        local.open_channel(["cat"]).close()
        before = open_files()
        for _ in range(5):
            local.open_channel(["cat"]).close()
        assert open_files() == before
