"""A native agent's runtimes: sites of links, started as they are, used by no other agent.

The worker of these sites is the agent itself, whose own worker is the null runtime's: it echoes.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeflow_agent.wire import Tensor
from processes import children_of

NATIVE_ONLY = pytest.mark.parametrize("agent", ["native"], indirect=True)
X = Tensor("x", "float32", (2,), struct.pack("<2f", 1.0, 2.0), 0)
LOADER = b'#!/bin/sh\nexport LOADED_BY="$0 $1 $2"\nshift 2\nexec "$@"\n'
Maintain = Callable[..., dict[str, Any]]


@pytest.fixture
def maintain(agent: Any, work: Path) -> Maintain:
    """Runs a command that keeps the work folder; gives its document."""

    def run(command: str, *options: str, code: int = 0) -> dict[str, Any]:
        done = subprocess.run(
            agent.argv(command, work, *options), capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == code, (done.stdout, done.stderr)
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    return run


def unpack(maintain: Maintain, *pairs: str, runtime: str = "onnxruntime", code: int = 0) -> dict[str, Any]:
    return maintain(
        "unpack", "--runtime", runtime, "--version", "9.8", "--target", "any-target", *pairs, code=code
    )


@pytest.fixture
def worker(agent: Any, put: Callable[[bytes], str]) -> str:
    """The SHA-256 of a worker program in WORK/files."""
    return put(agent.path.read_bytes())


@NATIVE_ONLY
def test_a_site_is_listed_and_its_worker_is_started(
    maintain: Maintain, connect: Callable[..., Any], put: Callable[[bytes], str], work: Path, worker: str
) -> None:
    data = put(b"beside it")
    pairs = (f"worker={worker}", f"some.data={data}")
    made = unpack(maintain, *pairs)
    key = hashlib.sha256("\n".join(sorted(pairs)).encode()).hexdigest()[:16]
    assert made == {"site": key, "made": True}
    assert unpack(maintain, *reversed(pairs)) == {"site": key, "made": False}
    folder = work / "site" / key
    assert (folder / "some.data").read_bytes() == b"beside it" and (folder / "worker").is_symlink()
    assert json.loads((folder / "site.json").read_text()) == {
        "runtime": "onnxruntime", "version": "9.8", "target": "any-target",
        "files": {"worker": worker, "some.data": data},
    }  # fmt: skip
    client = connect()
    told = client.greeting["backends"]
    assert told["onnxruntime"] == {"available": True, "version": "9.8", "site": key}
    assert not told["ncnn"]["available"] and told["ncnn"]["reason"]
    files = {"model": put(b"a model that nobody reads")}
    for site in (key, None):
        client.job("infer", [X], backend="onnxruntime", files=files, site=site)
        assert client.tensors()[0].data == X.data


def environment_of_worker(client: Any, **job: Any) -> dict[str, str]:
    """The variables and the command line (as "argv") of the worker that the next job starts."""
    name = client.start("infer", [X], options={"crash": "hang"}, threads=2, **job)
    client.send("job.wait", job=name)
    client.until_phase("first")
    for pid in children_of(client.process.pid):
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        if "--lock-fd" in words:
            told = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
            pairs = dict(entry.split("=", 1) for entry in told if "=" in entry)
            return {**pairs, "argv": " ".join(words)}
    raise AssertionError("no worker of the job")


@NATIVE_ONLY
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes through /proc")
def test_a_worker_finds_its_libraries_beside_it_or_by_the_loader_that_it_brings(
    maintain: Maintain, connect: Callable[..., Any], put: Callable[[bytes], str], work: Path, worker: str
) -> None:
    plain = unpack(maintain, f"worker={worker}")["site"]
    loaded = unpack(maintain, f"worker={worker}", f"ld.so={put(LOADER)}", runtime="tflite")["site"]
    files = {"model": put(b"a model that nobody reads")}
    folder = work / "site"
    told = environment_of_worker(connect(), backend="onnxruntime", files=files)
    assert told["LD_LIBRARY_PATH"] == str(folder / plain)
    (work / "lock").unlink()  # the first core's hanging job has the device: the second is another device
    told = environment_of_worker(connect(), backend="tflite", files=files)
    assert told["LOADED_BY"] == f"{folder}/{loaded}/ld.so --library-path {folder}/{loaded}"
    assert f"{folder}/{loaded}/worker worker --fd " in told["argv"]
    assert told.get("LD_LIBRARY_PATH") == os.environ.get("LD_LIBRARY_PATH")


@NATIVE_ONLY
def test_a_site_whose_file_is_gone_is_not_there_until_it_is_brought_again(
    maintain: Maintain, connect: Callable[..., Any], said: Any, put: Callable[[bytes], str], work: Path,
    agent: Any, worker: str,
) -> None:  # fmt: skip
    data = put(b"beside it")
    pairs = (f"worker={worker}", f"some.data={data}")
    key = unpack(maintain, *pairs)["site"]
    (work / "files" / data).unlink()
    client = connect()
    assert not client.greeting["backends"]["onnxruntime"]["available"]
    files = {"model": put(b"model")}
    for site in (key, None):
        with pytest.raises(said) as error:
            client.start("infer", [X], backend="onnxruntime", files=files, site=site)
        assert error.value.code == "backend_missing"
    put(b"beside it")
    assert unpack(maintain, *pairs) == {"site": key, "made": True}
    assert connect(token=None).greeting["backends"]["onnxruntime"]["site"] == key


@NATIVE_ONLY
@pytest.mark.parametrize(
    ("pairs", "code"),
    [
        (["worker=" + "0" * 64], "no_file"),
        (["worker={worker}", "../up={worker}"], "bad_request"),
        (["worker={worker}", "site.json={worker}"], "bad_request"),
        (["worker={worker}", ".hidden={worker}"], "bad_request"),
        (["worker={worker}", "worker={worker}"], "bad_request"),
        (["worker=../../etc/passwd"], "bad_request"),
        (["other={worker}"], "bad_request"),
    ],
)
def test_what_is_no_site_is_refused_and_leaves_nothing(
    maintain: Maintain, work: Path, worker: str, pairs: list[str], code: str
) -> None:
    words = [pair.format(worker=worker) for pair in pairs]
    assert unpack(maintain, *words, code=1)["error"]["code"] == code
    assert [path.name for path in (work / "site").glob("*") if path.name != ".lock"] == []
    assert unpack(maintain, f"worker={worker}")["made"]


@NATIVE_ONLY
def test_a_cut_file_is_no_part_of_a_site(maintain: Maintain, work: Path, worker: str) -> None:
    (work / "files" / worker).write_bytes(b"cut")
    assert unpack(maintain, f"worker={worker}", code=1)["error"]["code"] == "file_corrupt"


@NATIVE_ONLY
def test_a_program_that_cannot_be_started_is_the_jobs_error(
    maintain: Maintain, connect: Callable[..., Any], said: Any, put: Callable[[bytes], str]
) -> None:
    unpack(maintain, f"worker={put(b'no program at all')}")
    client = connect()
    with pytest.raises(said) as error:
        client.job("infer", [X], backend="onnxruntime", files={"model": put(b"model")})
    assert error.value.code == "internal" and "cannot start the worker" in error.value.message
    client.job("infer", [X])  # the core still serves


@pytest.mark.parametrize("kind", ["wheels", "links"])
def test_the_other_agents_sites_are_not_ones_own(
    connect: Callable[..., Any], said: Any, agent: Any, work: Path, put: Callable[[bytes], str], kind: str
) -> None:
    folder = work / "site" / ("f" * 16)
    folder.mkdir(parents=True)
    if kind == "links":
        worker = put(b"#!/bin/sh\n")
        (work / "files" / worker).chmod(0o700)
        (folder / "worker").symlink_to(f"../../files/{worker}")
        told: dict[str, Any] = {"target": "any", "files": {"worker": worker}}
    else:
        told = {"python": "cp38", "wheels": []}
    (folder / "site.json").write_text(json.dumps({"runtime": "ncnn", "version": "1", **told}))
    client = connect()
    if agent.kind == "python" or kind == "wheels":
        assert "site" not in client.greeting["backends"]["ncnn"]
        files = {role: put(role.encode()) for role in ("param", "bin")}
        with pytest.raises(said) as error:
            client.start("infer", [X], backend="ncnn", files=files, site="f" * 16)
        assert error.value.code == "backend_missing"
    else:
        assert client.greeting["backends"]["ncnn"]["site"] == "f" * 16


def age(path: Path, hours: float) -> None:
    """Makes a file, or a folder and all in it, look unused for so long."""
    then = path.lstat().st_mtime - 3600 * hours
    for inner in [*path.rglob("*"), path] if path.is_dir() else [path]:
        os.utime(inner, (then, then), follow_symlinks=False)


def make_site(work: Path, put: Callable[[bytes], str]) -> tuple[Path, Path]:
    """A native site and the file that it links to."""
    worker = put(b"#!/bin/sh\n")
    folder = work / "site" / ("a" * 16)
    folder.mkdir(parents=True)
    (folder / "worker").symlink_to(f"../../files/{worker}")
    manifest = {"runtime": "ncnn", "version": "1", "target": "any", "files": {"worker": worker}}
    (folder / "site.json").write_text(json.dumps(manifest))
    return folder, work / "files" / worker


def test_pruning_keeps_what_a_used_site_links_to(
    maintain: Maintain, work: Path, put: Callable[[bytes], str]
) -> None:
    model = work / "files" / put(b"an old model")
    site, worker = make_site(work, put)
    for path in (model, site, worker):
        age(path, 90)
    os.utime(site / "site.json")
    document = maintain("prune", "--max-bytes", "0")
    assert document["removed"] == [f"files/{model.name}"] and document["busy"] is None
    assert document["freed_bytes"] == len(b"an old model")
    assert worker.exists() and (site / "worker").exists()
    age(site / "site.json", 80)
    age(worker, 10)
    removed = maintain("prune", "--max-bytes", "0")["removed"]
    assert removed == [f"site/{site.name}", f"files/{worker.name}"]  # never the file before the site
    assert [path.name for path in (work / "site").glob("[!.]*")] == []


def test_pruning_removes_the_oldest_first_and_only_until_the_quota_holds(
    maintain: Maintain, work: Path, put: Callable[[bytes], str], agent: Any
) -> None:
    old, older, newer = (put(bytes([number]) * 1000) for number in range(3))
    for name, hours in ((old, 30), (older, 40), (newer, 20)):
        age(work / "files" / name, hours)
    result = work / "jobs" / "left"
    result.mkdir(parents=True)
    own = work / "agents" / agent.build
    others = [work / "agents" / (letter * 16) for letter in "bc"]
    for folder, name in ((own, "edgeflow-agent"), (others[0], "agent.pyz"), (others[1], "edgeflow-agent")):
        folder.mkdir(parents=True)
        (folder / name).write_bytes(b"a" * 500)
        age(folder, 99)
    removed = maintain("prune", "--max-bytes", "2500")["removed"]
    assert sorted(removed[:2]) == [f"agents/{folder.name}" for folder in others]
    assert removed[2:] == [f"files/{older}"]
    assert maintain("prune", "--max-bytes", "2500")["removed"] == []
    assert own.exists() and (work / "files" / old).exists()


def test_nothing_is_pruned_or_uninstalled_while_a_job_runs(
    maintain: Maintain, connect: Callable[..., Any], work: Path, put: Callable[[bytes], str]
) -> None:
    model = work / "files" / put(b"model")
    age(model, 90)
    client = connect(host="alice")
    job = client.start("infer", [X], options={"crash": "hang"})
    document = maintain("prune", "--max-bytes", "0")
    assert document["removed"] == [] and document["busy"]["by"] == "alice"
    assert maintain("uninstall", code=1)["error"]["detail"]["by"] == "alice"
    client.call("job.cancel", job=job)
    assert maintain("prune", "--max-bytes", "0")["removed"] == [f"files/{model.name}"]


def test_uninstalling_ends_daemons_and_leaves_what_is_not_ours(
    maintain: Maintain, agent: Any, work: Path, put: Callable[[bytes], str], tmp_path: Path
) -> None:
    make_site(work, put)
    daemon = maintain("daemon")
    outside = tmp_path / "outside"
    outside.write_text("not ours")
    (work / "files" / "link").symlink_to(outside)
    (work / "mine.txt").write_text("the owner's")
    assert maintain("uninstall") == {"removed": False, "service": False, "left": ["mine.txt"]}
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(daemon["pid"])], capture_output=True, text=True)
    assert state.stdout.strip()[:1] in ("", "Z")  # gone, but for whoever has to reap it
    assert outside.exists() and [path.name for path in work.iterdir()] == ["mine.txt"]
    (work / "mine.txt").unlink()
    assert maintain("uninstall") == {"removed": True, "service": False, "left": []}
    assert not work.exists()
    assert maintain("uninstall") == {"removed": False, "service": False, "left": []}


def test_uninstalling_ends_a_daemon_that_hangs(maintain: Maintain, work: Path) -> None:
    daemon = maintain("daemon")
    os.kill(daemon["pid"], signal.SIGSTOP)
    run = next((work / "run").iterdir())
    (run / "agent.sock").unlink()  # so that nobody waits for it
    assert maintain("uninstall", "--force")["removed"]


@pytest.mark.parametrize(
    "words",
    [
        ["prune"],
        ["prune", "--max-bytes", "many"],
        ["unpack", "--runtime", "ncnn"],
        ["uninstall", "--now"],
        ["service", "--force"],
    ],
)
def test_wrong_options_are_a_usage_error(agent: Any, work: Path, words: list[str]) -> None:
    argv = agent.argv(words[0], work, *words[1:])
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stdout == "" and done.stderr
