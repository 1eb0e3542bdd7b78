"""What cannot work is refused by name before any slow work."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgeflow.deploy.preflight import check_device, check_request
from edgeflow.deploy.request import DeployRequest
from edgeflow.errors import DeviceError, UsageError
from edgeflow.types import DeviceFacts

BOARD = DeviceFacts(
    os="linux", os_version="Debian 12", kernel="6.1", arch="aarch64", abis=("arm64-v8a",), libc="glibc",
    libc_version="2.36", model="Board", soc=None, api_level=None, cores=4, clusters=(),
    memory_bytes=1 << 30, memory_available_bytes=1 << 29, disk_free_bytes=1 << 30,
)  # fmt: skip
ASKED = DeployRequest(device="board", runtime="ncnn")


def check(request: DeployRequest = ASKED, facts: DeviceFacts = BOARD, **changes: object) -> None:
    options: dict[str, object] = {"source_bytes": 10 << 20, "allowed": (), **changes}
    check_device(request, facts, **options)  # type: ignore[arg-type]


def test_what_fits_passes() -> None:
    check_request(ASKED)
    check()
    check(replace(ASKED, affinity=(0, 3)), allowed=("ncnn",))


def test_unknown_numbers_do_not_refuse() -> None:
    check(facts=replace(BOARD, disk_free_bytes=None, memory_available_bytes=None))


@pytest.mark.parametrize(
    ("request_", "facts", "changes", "words"),
    [
        (ASKED, BOARD, {"allowed": ("onnxruntime",)}, "devices.yaml allows onnxruntime"),
        (replace(ASKED, affinity=(0, 4)), BOARD, {}, "has no core 4"),
        (ASKED, replace(BOARD, disk_free_bytes=1 << 20), {}, "bytes free"),
        (ASKED, BOARD, {"source_bytes": 2 << 30}, "bytes free"),
        (ASKED, replace(BOARD, memory_available_bytes=20 << 20), {}, "bytes of memory available"),
    ],
)
def test_what_does_not_fit_is_named(
    request_: DeployRequest, facts: DeviceFacts, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(DeviceError, match=words) as caught:
        check(request_, facts, **changes)
    assert caught.value.message.startswith("board: ")
    assert caught.value.hint or "core" in words


def test_unknown_accelerator() -> None:
    with pytest.raises(UsageError, match="tpu"):
        check_request(replace(ASKED, accelerator="tpu"))
