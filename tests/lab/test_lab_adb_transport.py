"""The adb transport's contract on a real adb server and a real adbd."""

from __future__ import annotations

import os
import stat
import threading
import time
from pathlib import Path, PurePosixPath

import pytest

from edgeflow.devices.transports.adb import AdbTransport
from edgeflow.devices.transports.base import Channel, ChannelClosed, DeviceTimeout
from edgeflow.errors import DeviceError, UsageError

pytestmark = pytest.mark.lab

WORK = PurePosixPath("/data/local/tmp/edgeflow")


def read_exactly(channel: Channel, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = channel.read(count - len(data), timeout_s=20)
        assert piece, "the stream ended early"
        data += piece
    return data


def names(phone: AdbTransport, folder: PurePosixPath) -> list[str]:
    return sorted(phone.run(["ls", "-A", str(folder)], timeout_s=10).text.split())


def runs(phone: AdbTransport, pid: str) -> bool:
    return phone.run(["sh", "-c", f"kill -0 {pid}"], timeout_s=10).exit_code == 0


def finishers(phone: AdbTransport) -> list[str]:
    """The process ids of the shells that wait for the end of a push."""
    script = "cd /proc; for p in [0-9]*; do [ $p = $$ ] || ! grep -q flush=syn[c] $p/cmdline || echo $p; done"
    return phone.run(["sh", "-c", script], timeout_s=20).text.split()


class TestRun:
    def test_output_input_and_exit_code(self, phone: AdbTransport) -> None:
        done = phone.run(["sh", "-c", "cat; echo oops >&2; exit 3"], timeout_s=20, stdin=b"\x00\xff\r\ndata")
        assert (done.exit_code, done.stdout, done.stderr) == (3, b"\x00\xff\r\ndata", b"oops\n")

    def test_no_shell_reads_the_arguments(self, phone: AdbTransport) -> None:
        words = ["$HOME; *", "a  b", "it's", 'say "hi"', "back\\slash", "`id`", "ümlaut", "", "two\nlines"]
        assert phone.run(["printf", "<%s>", *words], timeout_s=20).text == "".join(f"<{w}>" for w in words)

    def test_megabytes_through_stdin_and_stdout(self, phone: AdbTransport) -> None:
        data = os.urandom(3 << 20)
        assert phone.run(["cat"], timeout_s=30, stdin=data).stdout == data

    def test_a_command_that_does_not_read_its_input_ends(self, phone: AdbTransport) -> None:
        assert phone.run(["true"], timeout_s=30, stdin=bytes(3 << 20)).exit_code == 0

    def test_missing_programs_and_signals_are_told_as_a_shell_does(self, phone: AdbTransport) -> None:
        assert phone.run(["no-such-program"], timeout_s=10).exit_code == 127
        assert phone.run(["/system/build.prop"], timeout_s=10).exit_code == 126
        assert phone.run(["sh", "-c", "kill -9 $$"], timeout_s=10).exit_code == 137

    def test_a_command_that_hangs_is_killed_with_its_children(self, phone: AdbTransport) -> None:
        script = "sleep 600 & echo $! > /data/local/tmp/pid; wait"
        with pytest.raises(DeviceTimeout, match=r"lab-pixel7: `sh -c .* did not end within 2 s"):
            phone.run(["sh", "-c", script], timeout_s=2)
        assert not runs(phone, phone.run(["cat", "/data/local/tmp/pid"], timeout_s=10).text.strip())


class TestFiles:
    def test_push_and_pull_keep_the_bytes_and_the_executable_bit(
        self, phone: AdbTransport, tmp_path: Path
    ) -> None:
        source, target = tmp_path / "tool", WORK / "deep er/it's a tool"
        source.write_bytes(os.urandom(2_500_000))
        source.chmod(0o755)
        steps: list[tuple[int, int]] = []
        phone.push(source, target, progress=lambda done, total: steps.append((done, total)))
        assert steps[-1] == (2_500_000, 2_500_000)
        assert phone.file_size(target) == 2_500_000
        assert names(phone, target.parent) == ["a", "it's", "tool"]
        phone.pull(target, tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == source.read_bytes()
        assert (tmp_path / "back").stat().st_mode & stat.S_IXUSR

    def test_a_program_that_was_pushed_runs(self, phone: AdbTransport, tmp_path: Path) -> None:
        script = tmp_path / "agent"
        script.write_text("#!/system/bin/sh\necho started\n")
        script.chmod(0o755)
        phone.push(script, WORK / "agent")
        assert phone.run([str(WORK / "agent")], timeout_s=10).text == "started\n"

    def test_a_push_replaces_a_file_whole_and_empty_files_too(
        self, phone: AdbTransport, tmp_path: Path
    ) -> None:
        (tmp_path / "long").write_bytes(b"something longer")
        (tmp_path / "empty").write_bytes(b"")
        phone.push(tmp_path / "long", WORK / "model")
        phone.push(tmp_path / "empty", WORK / "model")
        assert phone.file_size(WORK / "model") == 0
        phone.pull(WORK / "model", tmp_path / "long")
        assert (tmp_path / "long").read_bytes() == b""

    def test_an_interrupted_push_leaves_the_old_file_and_nothing_else(
        self, phone: AdbTransport, tmp_path: Path
    ) -> None:
        (tmp_path / "old").write_bytes(b"old")
        (tmp_path / "new").write_bytes(bytes(8 << 20))
        phone.push(tmp_path / "old", WORK / "model")

        def interrupt(done: int, total: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            phone.push(tmp_path / "new", WORK / "model", progress=interrupt)
        assert names(phone, WORK) == ["model"]
        assert phone.file_size(WORK / "model") == 3

    def test_bytes_that_change_on_the_way_are_noticed(self, phone: AdbTransport, tmp_path: Path) -> None:
        """The device's own copy is altered between the last byte and the check, as bad memory would."""
        source = tmp_path / "model"
        source.write_bytes(os.urandom(2 << 20))

        def spoil(done: int, total: int) -> None:
            if done == total:
                script = f"for f in {WORK}/.model.*.part; do printf x 1<>$f; done"
                phone.run(["sh", "-c", script], timeout_s=20)

        with pytest.raises(DeviceError, match="not those that were sent"):
            phone.push(source, WORK / "model", progress=spoil)
        assert names(phone, WORK) == []

    def test_a_full_disk(self, phone: AdbTransport, tmp_path: Path) -> None:
        source = tmp_path / "model"
        source.write_bytes(bytes(16 << 20))
        phone.mkdir(WORK)
        free_kib = int(phone.run(["df", "-Pk", str(WORK)], timeout_s=10).text.splitlines()[1].split()[3])
        filler = WORK.parent / "filler"
        phone.run(["fallocate", "-l", str((free_kib << 10) - (4 << 20)), str(filler)], timeout_s=60)
        try:
            with pytest.raises(
                DeviceError, match=r"lab-pixel7: cannot write .*/model: no space left"
            ) as caught:
                phone.push(source, WORK / "model")
            assert "free some space" in caught.value.hint
            assert names(phone, WORK) == []
        finally:
            phone.run(["rm", str(filler)], timeout_s=20)
        phone.push(source, WORK / "model")

    def test_the_shell_that_ends_pushes_may_be_killed_and_goes_with_the_transport(
        self, phone: AdbTransport, tmp_path: Path
    ) -> None:
        (tmp_path / "model").write_bytes(os.urandom(100_000))
        odd = WORK / "two\nlines $(id) it's"
        phone.push(tmp_path / "model", odd)
        phone.push(tmp_path / "model", WORK / "model")
        (shell,) = finishers(phone)
        phone.run(["kill", "-9", shell], timeout_s=10).require_success("kill")
        phone.push(tmp_path / "model", WORK / "again")
        assert phone.file_size(odd) == phone.file_size(WORK / "again") == 100_000
        assert len(finishers(phone)) == 1
        phone.close()
        deadline = time.monotonic() + 10
        while finishers(phone):  # adbd ends it once the connection is gone: nothing tells when
            assert time.monotonic() < deadline

    def test_places_that_cannot_be_written(self, phone: AdbTransport, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        for write in (
            lambda: phone.push(tmp_path / "file", PurePosixPath("/system/bin/x")),
            lambda: phone.mkdir(PurePosixPath("/system/x")),
        ):
            with pytest.raises(DeviceError, match="permission denied") as caught:
                write()
            assert "/data/local/tmp" in caught.value.hint
        phone.push(tmp_path / "file", WORK / "file")
        with pytest.raises(DeviceError, match="Not a directory"):
            phone.push(tmp_path / "file", WORK / "file" / "model")
        with pytest.raises(DeviceError, match="Is a directory"):
            phone.push(tmp_path / "file", WORK)
        assert names(phone, WORK) == ["file"]

    def test_files_that_are_not_there(self, phone: AdbTransport, tmp_path: Path) -> None:
        assert phone.file_size(WORK / "none") is None
        assert phone.file_size(PurePosixPath("/data")) is None
        assert phone.file_size(PurePosixPath("/system/build.prop/x")) is None
        with pytest.raises(UsageError, match="no such file"):
            phone.push(tmp_path / "none", WORK / "x")
        with pytest.raises(DeviceError, match="no such file"):
            phone.pull(WORK / "none", tmp_path / "x")
        with pytest.raises(DeviceError, match="permission denied"):
            phone.pull(PurePosixPath("/etc/shadow"), tmp_path / "x")
        assert list(tmp_path.iterdir()) == []


class TestChannel:
    def test_bytes_come_back_unchanged_and_end_of_input_ends_the_process(self, phone: AdbTransport) -> None:
        data = os.urandom(5 << 20)
        with phone.open_channel(["cat"]) as channel:
            writer = threading.Thread(target=channel.write, args=(data,), kwargs={"timeout_s": 20})
            writer.start()
            assert read_exactly(channel, len(data)) == data
            writer.join()
            assert channel.close() == 0

    def test_exit_code_end_of_stream_and_last_words(self, phone: AdbTransport) -> None:
        channel = phone.open_channel(["sh", "-c", "echo one; echo two >&2; exit 7"])
        assert read_exactly(channel, 4) == b"one\n"
        assert channel.read(10, timeout_s=10) == b""
        assert channel.stderr_tail() == "two\n"
        assert channel.close() == 7
        assert channel.close() == 7

    def test_a_flood_of_errors_does_not_block_the_process(self, phone: AdbTransport) -> None:
        script = "head -c 3000000 /dev/zero >&2; echo done"
        with phone.open_channel(["sh", "-c", script]) as channel:
            assert read_exactly(channel, 5) == b"done\n"

    def test_more_output_than_anybody_reads(self, phone: AdbTransport) -> None:
        channel = phone.open_channel(["head", "-c", "24000000", "/dev/zero"])
        assert channel.read(1, timeout_s=10) == b"\0"
        assert channel.close(timeout_s=20) == 0

    def test_a_program_that_cannot_be_started(self, phone: AdbTransport) -> None:
        with pytest.raises(DeviceError, match=r"lab-pixel7: cannot start no-such-agent: .*not found"):
            phone.open_channel(["no-such-agent"])

    def test_silence_is_a_time_out_and_the_channel_stays_usable(self, phone: AdbTransport) -> None:
        with phone.open_channel(["cat"]) as channel:
            with pytest.raises(DeviceTimeout, match="no answer from cat"):
                channel.read(1, timeout_s=0.2)
            channel.write(b"still here", timeout_s=5)
            assert read_exactly(channel, 10) == b"still here"

    def test_a_peer_that_takes_no_input(self, phone: AdbTransport) -> None:
        channel = phone.open_channel(["sleep", "600"])
        with pytest.raises(DeviceTimeout, match="took no input"):
            channel.write(bytes(64 << 20), timeout_s=1)
        channel.kill()
        assert channel.close() == 137

    def test_a_peer_that_ended(self, phone: AdbTransport) -> None:
        channel = phone.open_channel(["sh", "-c", "exit 0"])
        assert channel.read(1, timeout_s=10) == b""
        with pytest.raises(ChannelClosed):
            channel.write(b"x", timeout_s=5)
        assert channel.close() == 0

    def test_kill_ends_the_children_too_and_close_kills_what_does_not_end(self, phone: AdbTransport) -> None:
        script = "trap '' TERM HUP; sleep 600 & echo $!; wait; sleep 600"
        for end in (Channel.kill, None):
            channel = phone.open_channel(["sh", "-c", script])
            pid = channel.read(64, timeout_s=10).decode().strip()
            assert runs(phone, pid)
            if end is not None:
                channel.kill()
            assert channel.close(timeout_s=0.5) == 137
            assert not runs(phone, pid)

    def test_closing_the_transport_kills_what_is_open(self, lab: object, phone: AdbTransport) -> None:
        channel = phone.open_channel(["sh", "-c", "echo $$; sleep 600"])
        pid = channel.read(64, timeout_s=10).decode().strip()
        phone.close()
        phone.close()
        assert not runs(phone, pid)
