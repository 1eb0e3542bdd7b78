"""devices.yaml: what it yields, and what it answers to mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeflow.config.devices import Fleet, load_fleet
from edgeflow.errors import UsageError

CHECKOUT = Path(__file__).parents[3]


def fleet(folder: Path, text: str) -> Fleet:
    path = folder / "devices.yaml"
    path.write_text(text)
    return load_fleet(path, folder, folder)


def failure(folder: Path, text: str) -> str:
    with pytest.raises(UsageError) as caught:
        fleet(folder, text)
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == 2
    return caught.value.message.removeprefix(str(folder) + "/")


def test_the_shipped_file_is_valid_and_live() -> None:
    shipped = load_fleet(CHECKOUT / "devices.yaml", CHECKOUT, CHECKOUT)
    assert {name: spec.transport for name, spec in shipped.devices.items()} == {
        "local": "local",
        "pixel7": "adb",
    }
    text = (CHECKOUT / "devices.yaml").read_text()
    assert "  # rpi4:" in text  # an example, which a fresh checkout does not take for a device


def test_local_exists_without_any_file_and_in_a_file_that_does_not_name_it(tmp_path: Path) -> None:
    builtin = load_fleet(None, tmp_path, tmp_path)
    assert list(builtin.devices) == ["local"]
    assert builtin.source is None
    written = fleet(tmp_path, "defaults: {threads: 3}\ndevices:\n  phone: {transport: adb}\n")
    assert written.get("local").transport == "local"
    assert written.get("local").threads == 3


def test_the_folders_file_wins_over_the_users(tmp_path: Path) -> None:
    cwd, user = tmp_path / "cwd", tmp_path / "user"
    cwd.mkdir()
    user.mkdir()
    (user / "devices.yaml").write_text("devices: {a: {transport: adb}}\n")
    assert "a" in load_fleet(None, cwd, user).devices
    (cwd / "devices.yaml").write_text("devices: {b: {transport: adb}}\n")
    assert list(load_fleet(None, cwd, user).devices) == ["local", "b"]
    explicit = tmp_path / "other.yaml"
    explicit.write_text("devices: {c: {transport: adb}}\n")
    assert list(load_fleet(explicit, cwd, user).devices) == ["local", "c"]
    with pytest.raises(UsageError, match="no such file"):
        load_fleet(tmp_path / "absent.yaml", cwd, user)


def test_defaults_go_only_where_they_make_sense(tmp_path: Path) -> None:
    loaded = fleet(
        tmp_path,
        "defaults: {user: pi, port: 2222, key: ~/k, threads: 2}\n"
        "devices:\n"
        "  board: {transport: ssh, address: b, threads: 4}\n"
        "  phone: {transport: adb}\n",
    )
    board, phone = loaded.get("board"), loaded.get("phone")
    assert (board.user, board.port, board.threads) == ("pi", 2222, 4)
    assert board.key == Path("~/k").expanduser()
    assert (phone.user, phone.port, phone.key, phone.threads) == (None, None, None, 2)


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ("transprot: adb", "3: devices.a.transprot: unknown key; did you mean 'transport'?"),
        (
            "transport: sssh",
            "3: devices.a.transport: expected one of local, ssh, adb, got 'sssh'; did you mean 'ssh'",
        ),
        ("transport: ssh", "2: devices.a.address: missing; an ssh device needs a host name"),
        (
            "{transport: ssh, address: pi@board}",
            "3: devices.a.address: write the host alone ('board'), and 'user: pi'",
        ),
        (
            "{transport: ssh, address: 'board:2222'}",
            "3: devices.a.address: write the host alone ('board'), and 'port",
        ),
        ("{transport: adb, user: pi}", "3: devices.a.user: only for transport ssh, not adb"),
        ("{transport: local, serial: X}", "3: devices.a.serial: only for transport adb, not local"),
        (
            "{transport: adb, serial: X, address: 'h:5'}",
            "3: devices.a.serial: a device has a serial (USB) or an",
        ),
        ("{transport: adb, address: host}", "3: devices.a.address: expected host:port"),
        ("{transport: adb, threads: 0}", "3: devices.a.threads: expected more than 0, got 0"),
        ("{transport: adb, threads: two}", "3: devices.a.threads: expected a whole number, got 'two'"),
        ("{transport: ssh, address: h, port: 70000}", "3: devices.a.port: expected at most 65535, got 70000"),
        ("{transport: adb, tags: phone}", "3: devices.a.tags: expected a list, got 'phone'"),
        (
            "{transport: adb, runtimes: [nccn]}",
            "3: devices.a.runtimes.0: unknown runtime 'nccn'; did you mean 'ncnn'",
        ),
        (
            "{transport: adb, work_dir: data}",
            "3: devices.a.work_dir: expected a path from / or ~/, got 'data'",
        ),
        ("{transport: adb, name: b}", "3: devices.a.name: unknown key; the device's name is 'a'"),
        ("{transport: adb, serial: }", None),
    ],
)
def test_a_wrong_device_is_answered_with_line_key_and_remedy(
    tmp_path: Path, device: str, expected: str | None
) -> None:
    text = f"devices:\n  a:\n    {device}\n"
    if expected is None:
        assert fleet(tmp_path, text).get("a").serial is None
    else:
        assert failure(tmp_path, text).startswith(f"devices.yaml:{expected}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("device: {}\n", "1: device: unknown key; did you mean 'devices'? (and 1 more in this file)"),
        ("defaults: {thread: 2}\ndevices: {}\n", "1: defaults.thread: unknown key; did you mean 'threads'?"),
        ("defaults: 3\ndevices: {}\n", "1: defaults: expected 'key: value' lines, got 3"),
        ("devices:\n", "1: devices: has no value"),
        ("devices:\n  a:\n", "2: devices.a: has no value; expected 'key: value' lines"),
        ("devices:\n  my phone: {transport: adb}\n", "2: devices.my phone: expected a name of letters"),
        ("devices:\n  local: {transport: adb}\n", "2: devices.local.transport: 'local' is this machine"),
        ("devices:\n  all: {transport: adb}\n", "2: devices.all: 'all' stands for every device"),
        ("defaults: {runtimes: [onnx]}\ndevices: {}\n", "1: defaults.runtimes.0: unknown runtime 'onnx'"),
    ],
)
def test_a_wrong_file_is_answered_with_line_key_and_remedy(tmp_path: Path, text: str, expected: str) -> None:
    assert failure(tmp_path, text).startswith(f"devices.yaml:{expected}")


def test_all_errors_of_a_file_are_in_the_detail(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        fleet(tmp_path, "devices:\n  a: {transport: adb, threads: 0, tagz: []}\n  b: {transport: bt}\n")
    assert "(and 2 more in this file)" in caught.value.message
    assert [line.split(": ")[1] for line in caught.value.detail.splitlines()] == [
        "devices.a.tagz",
        "devices.a.threads",
        "devices.b.transport",
    ]


FLEET = """
devices:
  pixel7: {transport: adb, tags: [phone, lab]}
  pixel8: {transport: adb, serial: X, tags: [phone]}
  rpi4: {transport: ssh, address: h, tags: [lab]}
"""


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("all", ["local", "pixel7", "pixel8", "rpi4"]),
        ("rpi4,pixel7", ["pixel7", "rpi4"]),
        ("phone", ["pixel7", "pixel8"]),
        ("tag:lab, local, pixel7", ["local", "pixel7", "rpi4"]),
        (["phone", "rpi4"], ["pixel7", "pixel8", "rpi4"]),
    ],
)
def test_selecting(tmp_path: Path, names: str | list[str], expected: list[str]) -> None:
    assert [spec.name for spec in fleet(tmp_path, FLEET).select(names)] == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("pixle7", "unknown device or tag 'pixle7'; did you mean 'pixel7'?"),
        ("tag:phones", "no device has the tag 'phones'; did you mean 'phone'?"),
        ("tag:local", "no device has the tag 'local'"),
        (" , ", "no device named"),
    ],
)
def test_selecting_nothing_is_an_error(tmp_path: Path, names: str, expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        fleet(tmp_path, FLEET).select(names)
    assert caught.value.message.startswith(expected)


def test_unknown_device_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"unknown device 'Pixel'; did you mean 'pixel\d'\? \(known: local, pixel7"
    ):
        fleet(tmp_path, FLEET).get("Pixel")
    with pytest.raises(UsageError, match="unknown device 'board'") as caught:
        load_fleet(None, tmp_path / "nowhere", tmp_path / "nowhere").get("board")
    assert "devices scan --write" in caught.value.hint


def test_a_lab_device_that_is_unknown_is_told_where_it_is(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown device 'lab-arm64'") as caught:
        fleet(tmp_path, FLEET).get("lab-arm64")
    assert "edgeflow lab up lab-arm64" in caught.value.hint
    assert "--devices-file" in caught.value.hint
