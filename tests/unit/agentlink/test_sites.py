"""Wheels become a site whole or not at all, and only for the Python that they are for."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from edgeflow_agent import sites
from edgeflow_agent.faults import Fault
from edgeflow_agent.folder import WorkFolder


def wheel(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def put(work: WorkFolder, content: bytes, *, name: str = "") -> str:
    name = name or hashlib.sha256(content).hexdigest()
    Path(work.files, name).write_bytes(content)
    return name


@pytest.fixture
def work(tmp_path: Path) -> WorkFolder:
    return WorkFolder(str(tmp_path / "work"))


def unpack(work: WorkFolder, *wheels: str, python: str = "") -> dict[str, object]:
    return sites.unpack(work, "toy", "1.2", python or sites.python_tag(), wheels)


def test_what_is_unpacked_can_be_imported(work: WorkFolder) -> None:
    first = put(work, wheel({"toy/__init__.py": b"from helper import VALUE"}))
    second = put(
        work,
        wheel(
            {
                "h-1.data/purelib/helper.py": b"VALUE = 7",
                "h-1.data/scripts/run": b"#!python",
                "empty/": b"",
            }
        ),
    )
    made = unpack(work, first, second)
    assert made == {"site": sites.key_of([second, first]), "made": True}
    assert unpack(work, second, first) == {**made, "made": False}
    path = sites.find(work, made["site"])
    code = "import sys; sys.path.insert(1, sys.argv[1]); import toy; print(toy.VALUE)"
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert done.stdout == "7\n"
    assert not list(Path(path).rglob("run"))
    assert [site.runtime for site in sites.usable(work.site)] == ["toy"]


@pytest.mark.parametrize("name", ["../outside.py", "/outside.py", "toy/../../outside.py", "..\\outside.py"])
def test_a_path_that_leads_out_is_refused(work: WorkFolder, name: str) -> None:
    with pytest.raises(Fault, match="outside") as caught:
        unpack(work, put(work, wheel({"good.py": b"", name: b"bad"})))
    assert caught.value.code == "file_corrupt"
    assert sites.usable(work.site) == []
    assert sorted(path.name for path in Path(work.site).iterdir()) == [sites.LOCK]
    assert not list(Path(work.path).parent.rglob("*outside*"))


def test_what_is_not_a_wheel_leaves_nothing(work: WorkFolder) -> None:
    whole = wheel({"toy.py": b"x" * 5000})
    for content in (b"not a zip", whole[: len(whole) // 2]):
        with pytest.raises(Fault) as caught:
            unpack(work, put(work, whole), put(work, content))
        assert caught.value.code == "file_corrupt"
        assert sites.usable(work.site) == []


def test_a_wheel_that_was_cut_or_is_missing_does_not_count(work: WorkFolder) -> None:
    content = wheel({"toy.py": b"x = 1"})
    name = hashlib.sha256(content).hexdigest()
    with pytest.raises(Fault) as caught:
        unpack(work, name)
    assert caught.value.code == "no_file"
    put(work, content[:-10], name=name)
    with pytest.raises(Fault) as caught:
        unpack(work, name)
    assert caught.value.code == "file_corrupt"
    assert not work.has_file(name)


def test_a_site_for_another_python_is_none(work: WorkFolder) -> None:
    name = put(work, wheel({"toy.py": b""}))
    with pytest.raises(Fault, match="cp27"):
        unpack(work, name, python="cp27")
    key = unpack(work, name)["site"]
    manifest = Path(work.site, str(key), sites.MANIFEST)
    manifest.write_text(manifest.read_text().replace(sites.python_tag(), "cp27"))
    assert sites.usable(work.site) == []
    with pytest.raises(Fault) as caught:
        sites.find(work, key)
    assert caught.value.code == "backend_missing"


def test_what_a_killed_unpacking_left_is_cleared_and_never_used(work: WorkFolder) -> None:
    name = put(work, wheel({"toy.py": b""}))
    key = sites.key_of([name])
    half = Path(work.site, "." + key)
    half.mkdir(parents=True)
    (half / "toy.py").write_bytes(b"half")
    assert sites.usable(work.site) == []
    assert unpack(work, name)["made"]
    assert not half.exists()
