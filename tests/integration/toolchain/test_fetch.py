"""Sources and libraries of runtimes come out of packages, and only the very ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeflow.errors import EdgeflowError, ToolMissingError
from edgeflow.progress import Silent
from edgeflow.toolchain.fetch import device_file, source_folder
from edgeflow.toolchain.runtimes import BuildSource, DeviceFile, load_runtimes
from edgeflow.toolchain.store import BuildStore

pytestmark = pytest.mark.network


def changed(source: BuildSource, **values: object) -> BuildSource:
    return BuildSource.model_validate({**source.model_dump(), **values})


def test_a_source_archive_whose_version_is_the_day(tmp_path: Path) -> None:
    """ncnn's setup.py names today's date, so pip refuses it after having fetched and checked it."""
    (source,) = load_runtimes()["ncnn"].build
    store = BuildStore(tmp_path)
    folder = source_folder(source, store, Silent())
    assert (folder / "CMakeLists.txt").is_file() and (folder / "src" / "net.h").is_file()
    assert source_folder(source, store, Silent()) == folder
    with pytest.raises(EdgeflowError, match="serves another file"):
        source_folder(changed(source, sha256="0" * 64), store, Silent())
    with pytest.raises(ToolMissingError, match="cannot be fetched") as caught:
        source_folder(changed(source, package="pypi:ncnn==0.0.1"), store, Silent())
    assert "index" in caught.value.hint


def test_a_library_of_a_wheel_for_another_machine(tmp_path: Path) -> None:
    (file,) = load_runtimes()["tflite"].files["linux-aarch64"]
    store = BuildStore(tmp_path)
    library = device_file(file, store, Silent())
    assert library.name == "libLiteRt.so"
    assert library.read_bytes()[18:20] == b"\xb7\x00"  # ELF's word for AArch64
    other = DeviceFile.model_validate({**file.model_dump(by_alias=True), "path": "ai_edge_litert/no.so"})
    with pytest.raises(ToolMissingError, match=r"holds no ai_edge_litert/no\.so"):
        device_file(other, store, Silent())
