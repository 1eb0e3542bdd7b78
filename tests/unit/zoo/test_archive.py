"""One file out of an archive, or nothing."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from edgeflow.errors import EdgeflowError
from edgeflow.zoo.archive import extract_file
from edgeflow.zoo.manifest import FileSource

CONTENT = b"weights" * 1000


def source(path: str = "pkg/m.onnx", content: bytes = CONTENT) -> FileSource:
    return FileSource(path=path, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))


def as_zip(folder: Path, content: bytes = CONTENT) -> Path:
    path = folder / "p.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../evil", b"x")
        archive.writestr("pkg/m.onnx", content)
    return path


def as_tar(folder: Path, content: bytes = CONTENT) -> Path:
    path = folder / "p.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, data in (("../evil", b"x"), ("pkg/m.onnx", content)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("pkg/link.onnx")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return path


@pytest.mark.parametrize("pack", [as_zip, as_tar])
def test_only_the_named_file_comes_out(tmp_path: Path, pack: object) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    archive = pack(inner)  # type: ignore[operator]
    extract_file(archive, source(), inner / "out")
    assert (inner / "out").read_bytes() == CONTENT
    assert sorted(item.name for item in inner.iterdir()) == sorted([archive.name, "out"])
    assert [item.name for item in tmp_path.iterdir()] == ["inner"]


@pytest.mark.parametrize("pack", [as_zip, as_tar])
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (CONTENT[:-1] + b"X", "has SHA-256"),
        (CONTENT[:-1], "has 6999 bytes, expected 7000"),
        (CONTENT + b"x" * 10_000_000, "is larger than the expected 7000 bytes"),
    ],
)
def test_other_content_is_refused(tmp_path: Path, pack: object, content: bytes, expected: str) -> None:
    archive = pack(tmp_path, content)  # type: ignore[operator]
    with pytest.raises(EdgeflowError, match=expected):
        extract_file(archive, source(), tmp_path / "out")


@pytest.mark.parametrize("pack", [as_zip, as_tar])
def test_an_absent_file_is_named(tmp_path: Path, pack: object) -> None:
    with pytest.raises(EdgeflowError, match=r"pkg/n\.onnx is not inside"):
        extract_file(pack(tmp_path), source("pkg/n.onnx"), tmp_path / "out")  # type: ignore[operator]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    with pytest.raises(EdgeflowError, match="is not a regular file"):
        extract_file(as_tar(tmp_path), source("pkg/link.onnx"), tmp_path / "out")


@pytest.mark.parametrize("pack", [as_zip, as_tar])
@pytest.mark.parametrize("keep", [0, 10, 60])
def test_a_truncated_archive_is_refused(tmp_path: Path, pack: object, keep: int) -> None:
    archive = pack(tmp_path)  # type: ignore[operator]
    archive.write_bytes(archive.read_bytes()[:keep])
    with pytest.raises(EdgeflowError, match="damaged archive"):
        extract_file(archive, source(), tmp_path / "out")
