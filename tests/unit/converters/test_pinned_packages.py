"""What a conversion fetches is pinned by hash: another file of the same name and version is refused."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from edgeflow_converters import packages
from edgeflow_converters.errors import ToolMissing
from edgeflow_converters.packages import PackageSet, pinned_hashes

SETS = (packages.MNN, packages.OPENVINO, packages.NNCF, packages.PNNX)


def write_wheel(folder: Path, name: str, version: str, code: str) -> Path:
    """A wheel that pip installs."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}/__init__.py", code)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for its only index."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    return tmp_path / "index"


@pytest.mark.parametrize("known", SETS, ids=lambda known: known.name)
def test_every_package_of_a_set_has_hashes(known: PackageSet) -> None:
    text = known.lock.read_text(encoding="utf-8")
    pinned = [line.split(" ")[0] for line in text.splitlines() if "==" in line and not line.startswith("#")]
    assert f"{known.name}=={known.version}" in pinned
    for line in pinned:
        name, version = line.split("==")
        assert pinned_hashes()[name.replace("-", "_"), version]


def test_a_tampered_wheel_is_refused_and_leaves_nothing(index: Path, tmp_path: Path) -> None:
    write_wheel(index, "mnn", packages.MNN.version, "print('not what its makers published')")
    with pytest.raises(ToolMissing) as caught:
        packages.MNN.ensure(tmp_path / "tools", lambda phase: None)
    assert "mnn==3.6.1" in caught.value.message and "is not what was pinned" in caught.value.message
    assert "\n" not in caught.value.message and "index" in caught.value.hint
    assert [path.name for path in (tmp_path / "tools").iterdir()] == [f".mnn-{packages.MNN.version}.lock"]


def test_the_file_that_was_pinned_is_taken_and_one_changed_byte_is_not(index: Path, tmp_path: Path) -> None:
    wheel = write_wheel(index, "small", "1.0", "name = 'ours'")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (tmp_path / "small.txt").write_text(f"small==1.0 \\\n    --hash=sha256:{digest}\n")
    small = PackageSet("small", "1.0", "small/__init__.py", 1, 1, tmp_path)
    folder = small.ensure(tmp_path / "tools", lambda phase: None)
    assert (folder / "small" / "__init__.py").read_text() == "name = 'ours'"
    wheel.write_bytes(wheel.read_bytes().replace(b"'ours'", b"'Ours'"))
    with pytest.raises(ToolMissing, match="not what was pinned"):
        small.ensure(tmp_path / "others", lambda phase: None)
