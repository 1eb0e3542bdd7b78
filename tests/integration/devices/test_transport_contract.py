"""What every transport promises, asked of each with real processes and files; for SSH over a real sshd."""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from edgeflow.config.devices import DeviceSpec
from edgeflow.devices.transports import open_transport
from edgeflow.devices.transports.base import Channel, ChannelClosed, DeviceTimeout, Transport
from edgeflow.errors import DeviceError, UsageError
from sshd import MISSING, SSHD, Sshd, gone, running_sshd

PYTHON = sys.executable
ECHO = "import sys, shutil; shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer)"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd | None]:
    if SSHD is None:
        yield None
        return
    with running_sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture(params=["local", "ssh"])
def transport(
    request: pytest.FixtureRequest, server: Sshd | None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Transport]:
    if request.param == "local":
        spec = DeviceSpec(name="bench-machine", transport="local")
    elif server is None:
        pytest.skip(MISSING)
    else:
        monkeypatch.setenv("HOME", str(server.home))
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
        spec = DeviceSpec.model_validate({"name": "bench-machine", **server.entry()})
    opened = open_transport(spec)
    yield opened
    opened.close()


def read_exactly(channel: Channel, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = channel.read(count - len(data), timeout_s=20)
        assert piece, "the stream ended early"
        data += piece
    return data


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class TestRun:
    def test_output_input_and_exit_code_to_the_byte(self, transport: Transport) -> None:
        data = bytes(range(256)) + b"\r\n\x04\x03~.\n"
        done = transport.run(["sh", "-c", "cat; echo oops >&2; exit 3"], timeout_s=10, stdin=data)
        assert (done.exit_code, done.stdout, done.stderr) == (3, data, b"oops\n")
        assert done.argv == ("sh", "-c", "cat; echo oops >&2; exit 3")

    def test_no_shell_reads_the_arguments(self, transport: Transport) -> None:
        words = ["$HOME; *", "a  b", "", "it's", '"', "\\", "!", "a\nb", "`id`"]
        done = transport.run([PYTHON, "-c", "import sys; print(sys.argv[1:])", *words], timeout_s=10)
        assert done.text == f"{words}\n"

    def test_commands_start_in_the_root_folder_and_without_input(self, transport: Transport) -> None:
        assert transport.run(["pwd"], timeout_s=10).text == "/\n"
        assert transport.run(["cat"], timeout_s=10).stdout == b""

    def test_more_input_and_output_than_any_buffer_holds(self, transport: Transport) -> None:
        data = os.urandom(12 << 20)
        assert transport.run(["cat"], timeout_s=60, stdin=data).stdout == data

    def test_much_on_standard_error_stops_nothing(self, transport: Transport) -> None:
        script = "import sys; sys.stderr.write('x' * 10_000_000); print('done')"
        done = transport.run([PYTHON, "-c", script], timeout_s=60)
        assert (done.text, len(done.stderr)) == ("done\n", 10_000_000)

    def test_input_that_the_command_does_not_read_is_no_error(self, transport: Transport) -> None:
        done = transport.run(["sh", "-c", "exec <&-; exit 4"], timeout_s=20, stdin=bytes(8 << 20))
        assert done.exit_code == 4

    def test_missing_programs_and_signals_are_told_as_a_shell_does(
        self, transport: Transport, tmp_path: Path
    ) -> None:
        plain = tmp_path / "plain"
        plain.write_text("no program")
        missing = transport.run(["no-such-program"], timeout_s=10)
        assert missing.exit_code == 127
        with pytest.raises(DeviceError, match=r"no-such-program exited 127: .*not found"):
            missing.require_success("cannot look")
        assert transport.run([str(plain)], timeout_s=10).exit_code == 126
        assert transport.run(["sh", "-c", "kill -9 $$"], timeout_s=10).exit_code == 128 + signal.SIGKILL

    def test_a_command_that_hangs_is_killed_with_its_children(
        self, transport: Transport, tmp_path: Path
    ) -> None:
        pid_file = tmp_path / "pid"
        script = f"sleep 600 & echo $! > {pid_file}; wait"
        with pytest.raises(DeviceTimeout, match=r"bench-machine: `sh -c .* did not end within 2 s"):
            transport.run(["sh", "-c", script], timeout_s=2)
        assert gone(int(pid_file.read_text()))

    def test_a_command_that_never_stops_printing_has_a_deadline_too(self, transport: Transport) -> None:
        with pytest.raises(DeviceTimeout, match="`yes` did not end within 1 s"):
            transport.run(["yes"], timeout_s=1)


class TestFiles:
    def test_push_and_pull_keep_the_bytes_and_the_executable_bit(
        self, transport: Transport, tmp_path: Path
    ) -> None:
        source = tmp_path / "tool"
        source.write_bytes(os.urandom(9_500_001))
        source.chmod(0o755)
        folder = tmp_path / "deep" / "er folder"
        target = PurePosixPath(folder / "a tool's é")
        steps: list[tuple[int, int]] = []
        transport.push(source, target, progress=lambda done, total: steps.append((done, total)))
        assert Path(target).read_bytes() == source.read_bytes()
        assert stat.S_IMODE(Path(target).stat().st_mode) == 0o755
        assert steps == sorted(steps)
        assert steps[-1] == (9_500_001, 9_500_001)
        assert transport.file_size(target) == 9_500_001
        steps.clear()
        transport.pull(target, tmp_path / "back", progress=lambda done, total: steps.append((done, total)))
        assert (tmp_path / "back").read_bytes() == source.read_bytes()
        assert os.access(tmp_path / "back", os.X_OK)
        assert steps[-1] == (9_500_001, 9_500_001)
        assert names(folder) == ["a tool's é"]

    @pytest.mark.parametrize("size_bytes", [0, 1, 255 << 10, (255 << 10) + 1])
    def test_a_push_replaces_a_file_whole(
        self, transport: Transport, tmp_path: Path, size_bytes: int
    ) -> None:
        source, target = tmp_path / "new", tmp_path / "old"
        source.write_bytes(os.urandom(size_bytes))
        target.write_bytes(b"something longer" * 100_000)
        transport.push(source, PurePosixPath(target))
        assert target.read_bytes() == source.read_bytes()
        assert stat.S_IMODE(target.stat().st_mode) == 0o644
        transport.pull(PurePosixPath(target), tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == source.read_bytes()

    @pytest.mark.parametrize("size_bytes", [3 << 20, 9 << 20])
    def test_an_interrupted_push_leaves_the_old_file_and_nothing_else(
        self, transport: Transport, tmp_path: Path, size_bytes: int
    ) -> None:
        source, folder = tmp_path / "new", tmp_path / "device"
        source.write_bytes(bytes(size_bytes))
        folder.mkdir()
        (folder / "model").write_bytes(b"old")

        def interrupt(done: int, total: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            transport.push(source, PurePosixPath(folder / "model"), progress=interrupt)
        assert names(folder) == ["model"]
        assert (folder / "model").read_bytes() == b"old"
        transport.push(source, PurePosixPath(folder / "model"))
        assert (folder / "model").stat().st_size == size_bytes

    def test_a_folder_in_the_place_of_the_file_is_kept(self, transport: Transport, tmp_path: Path) -> None:
        (tmp_path / "source").write_text("x")
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "inside").touch()
        with pytest.raises(DeviceError, match="bench-machine: cannot write"):
            transport.push(tmp_path / "source", PurePosixPath(tmp_path / "folder"))
        assert names(tmp_path) == ["folder", "source"]
        assert names(tmp_path / "folder") == ["inside"]

    def test_a_file_in_the_place_of_a_folder(self, transport: Transport, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        with pytest.raises(DeviceError, match="bench-machine: cannot create folder") as caught:
            transport.push(tmp_path / "file", PurePosixPath(tmp_path / "file" / "model"))
        assert "work_dir" in caught.value.hint

    def test_folders(self, transport: Transport, tmp_path: Path) -> None:
        transport.mkdir(PurePosixPath(tmp_path / "a" / "b c"))
        transport.mkdir(PurePosixPath(tmp_path / "a" / "b c"))
        assert (tmp_path / "a" / "b c").is_dir()

    def test_files_that_are_not_there(self, transport: Transport, tmp_path: Path) -> None:
        assert transport.file_size(PurePosixPath(tmp_path / "none")) is None
        assert transport.file_size(PurePosixPath(tmp_path / "no" / "ne")) is None
        assert transport.file_size(PurePosixPath(tmp_path)) is None
        with pytest.raises(UsageError, match="no such file"):
            transport.push(tmp_path / "none", PurePosixPath(tmp_path / "x"))
        with pytest.raises(DeviceError, match="bench-machine: no such file"):
            transport.pull(PurePosixPath(tmp_path / "none"), tmp_path / "x")
        with pytest.raises(DeviceError, match="bench-machine: no such file"):
            transport.pull(PurePosixPath(tmp_path), tmp_path / "x")
        assert names(tmp_path) == []

    def test_a_pull_to_a_bad_place_is_the_caller_s_error(self, transport: Transport, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        with pytest.raises(UsageError, match="cannot write"):
            transport.pull(PurePosixPath(tmp_path / "file"), tmp_path / "no" / "folder")


class TestChannel:
    def test_bytes_come_back_unchanged_and_end_of_input_ends_the_process(self, transport: Transport) -> None:
        data = os.urandom(9 << 20)
        with transport.open_channel([PYTHON, "-c", ECHO]) as channel:
            writer = threading.Thread(target=channel.write, args=(data,), kwargs={"timeout_s": 20})
            writer.start()
            assert read_exactly(channel, len(data)) == data
            writer.join()
            assert channel.close() == 0
            assert channel.close() == 0

    def test_silence_is_a_time_out_that_the_channel_survives(self, transport: Transport) -> None:
        with transport.open_channel(["cat"]) as channel:
            with pytest.raises(DeviceTimeout, match=r"bench-machine: no answer from cat for 0.3 s"):
                channel.read(10, timeout_s=0.3)
            channel.write(b"hello", timeout_s=5)
            assert read_exactly(channel, 5) == b"hello"

    def test_a_process_that_takes_no_input_is_a_time_out(self, transport: Transport) -> None:
        with transport.open_channel(["sleep", "600"]) as channel:
            with pytest.raises(DeviceTimeout, match="took no input for 1 s"):
                channel.write(bytes(32 << 20), timeout_s=1)
            channel.kill()
            assert channel.close() == 128 + signal.SIGKILL

    def test_a_process_that_ended_is_told_while_writing(self, transport: Transport) -> None:
        with transport.open_channel(["sh", "-c", "echo last words >&2; exit 7"]) as channel:
            assert channel.read(10, timeout_s=10) == b""
            with pytest.raises(ChannelClosed, match="bench-machine: sh ended"):
                for _ in range(1000):
                    channel.write(bytes(1 << 16), timeout_s=5)
            assert channel.stderr_tail() == "last words\n"
            channel.kill()
            assert channel.close() == 7

    def test_kill_ends_the_children_too(self, transport: Transport) -> None:
        with transport.open_channel(["sh", "-c", "sleep 600 & echo $!; wait"]) as channel:
            child = int(channel.read(100, timeout_s=10))
            channel.kill()
            assert channel.close() == 128 + signal.SIGKILL
        assert gone(child)

    def test_closing_kills_a_process_that_does_not_end(self, transport: Transport) -> None:
        with transport.open_channel(["sh", "-c", "echo $$; exec sleep 600"]) as channel:
            pid = int(channel.read(100, timeout_s=10))
            assert channel.close(timeout_s=0.2) == 128 + signal.SIGKILL
        assert gone(pid)

    def test_closing_the_transport_ends_its_channels(self, transport: Transport) -> None:
        channel = transport.open_channel(["sh", "-c", "echo $$; exec sleep 600"])
        pid = int(channel.read(100, timeout_s=10))
        transport.close()
        transport.close()
        assert gone(pid)

    def test_a_program_that_is_not_there(self, transport: Transport) -> None:
        with pytest.raises(DeviceError, match="bench-machine: cannot start no-such-program"):
            transport.open_channel(["no-such-program"])

    def test_much_on_standard_error_stops_nothing_and_its_end_is_kept(self, transport: Transport) -> None:
        script = "import sys; sys.stderr.write('x' * 6_000_000 + 'the end'); print('done')"
        with transport.open_channel([PYTHON, "-c", script]) as channel:
            assert read_exactly(channel, 5) == b"done\n"
            assert channel.read(10, timeout_s=10) == b""
            assert channel.stderr_tail().endswith("xthe end")

    def test_several_channels_at_once(self, transport: Transport) -> None:
        with transport.open_channel(["cat"]) as one, transport.open_channel(["cat"]) as other:
            other.write(b"other", timeout_s=5)
            one.write(b"one", timeout_s=5)
            assert transport.run(["echo", "between"], timeout_s=10).text == "between\n"
            assert read_exactly(one, 3) == b"one"
            assert read_exactly(other, 5) == b"other"
