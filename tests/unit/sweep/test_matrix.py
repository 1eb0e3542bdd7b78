"""From a plan to its cells: products, rules, ids, what is left out and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeflow.config.devices import Fleet, load_fleet
from edgeflow.config.plan import PlanSource, SweepPlan, load_plan
from edgeflow.errors import UsageError
from edgeflow.sweep.matrix import Matrix, expand, stand_ins
from edgeflow.sweep.preflight import KnownFacts, without_impossible
from edgeflow.types import DeviceFacts

DEVICES = """
devices:
  one: {transport: local, work_dir: /tmp/one, tags: [rack, fast]}
  two: {transport: local, work_dir: /tmp/two, tags: [rack]}
  phone: {transport: adb, serial: "1", runtimes: [ncnn]}
"""


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    (tmp_path / "devices.yaml").write_text(DEVICES)
    return load_fleet(tmp_path / "devices.yaml", tmp_path, tmp_path)


def read(folder: Path, text: str) -> tuple[SweepPlan, PlanSource]:
    path = folder / "plan.yaml"
    path.write_text(text)
    return load_plan(path, {})


def expanded(folder: Path, fleet: Fleet, text: str) -> Matrix:
    plan, source = read(folder, text)
    return expand(plan, fleet, source)


def failure(folder: Path, fleet: Fleet, text: str) -> str:
    with pytest.raises(UsageError) as caught:
        expanded(folder, fleet, text)
    assert "\n" not in caught.value.message
    return caught.value.message.removeprefix(f"{folder}/")


def test_a_plan_is_the_product_of_its_lists_each_cell_once(tmp_path: Path, fleet: Fleet) -> None:
    matrix = expanded(
        tmp_path,
        fleet,
        "models: [zoo:a, zoo:b]\ndevices: [tag:rack, one]\nruntimes: [ncnn, onnxruntime]\nthreads: [1, 4]\n",
    )
    assert len(matrix.cells) == 2 * 2 * 2 * 2
    assert len({cell.id for cell in matrix.cells}) == 16
    assert {cell.device for cell in matrix.cells} == {"one", "two"}


def test_ids_are_of_the_content_not_of_the_order(tmp_path: Path, fleet: Fleet) -> None:
    one = expanded(tmp_path, fleet, "models: [zoo:a, zoo:b]\ndevices: rack\nruntimes: [ncnn, onnxruntime]\n")
    other = expanded(
        tmp_path, fleet, "runtimes: [onnxruntime, ncnn]\nmodels: [zoo:b, zoo:a]\ndevices: [two, one]\n"
    )
    assert {cell.id for cell in one.cells} == {cell.id for cell in other.cells}
    assert [cell.id for cell in one.cells] != [cell.id for cell in other.cells]
    assert all(len(cell.id) == 12 for cell in one.cells)


def test_rules_add_and_take_out_and_say_why(tmp_path: Path, fleet: Fleet) -> None:
    matrix = expanded(
        tmp_path,
        fleet,
        "models: [zoo:a, zoo:b]\ndevices: rack\nruntimes: ncnn\n"
        "include:\n  - {model: zoo:a, device: fast, runtime: onnxruntime, precision: [fp32, fp16]}\n"
        "exclude:\n  - {model: 'zoo:b*', device: two, why: too slow there}\n  - {runtime: mnn}\n",
    )
    kept = {(cell.model, cell.device, cell.runtime, cell.precision) for cell in matrix.cells}
    assert kept == {
        ("zoo:a", "one", "ncnn", "fp32"), ("zoo:a", "two", "ncnn", "fp32"), ("zoo:b", "one", "ncnn", "fp32"),
        ("zoo:a", "one", "onnxruntime", "fp32"), ("zoo:a", "one", "onnxruntime", "fp16"),
    }  # fmt: skip
    assert [dropped.reason for dropped in matrix.dropped] == ["excluded by the plan: too slow there"]
    assert matrix.notes == ("plan.yaml:8: exclude: matches no cell",)


def test_priorities_name_cells(tmp_path: Path, fleet: Fleet) -> None:
    matrix = expanded(
        tmp_path, fleet, "models: zoo:a\ndevices: rack\npriorities:\n  - {device: two, priority: 5}\n"
    )
    assert [(cell.device, matrix.priority(cell)) for cell in matrix.cells] == [("one", 0), ("two", 5)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("models: zoo:a\nruntimes: [ncnm]\n", "plan.yaml:2: runtimes.0: unknown runtime 'ncnm'; did"),
        ("models: zoo:a\nrepeat: 2\n", "plan.yaml:2: repeat: unknown key; did you mean 'repeats'?"),
        ("models: zoo:a\n\ndevices: [rak]\n", "plan.yaml:3: devices: unknown device or tag 'rak'"),
        ("models: zoo:a\nexclude:\n  - {device: tow}\n", "plan.yaml:3: exclude.0.device: unknown device"),
        ("devices: one\n", "models: missing"),
        ("models: [zoo:a, zoo:a]\n", "'zoo:a' is listed twice"),
        ("models: zoo:a\nthreads: [0]\n", "plan.yaml:2: threads.0: expected more than 0"),
        ("models: zoo:a\nexclude: [{why: x}]\n", "a rule names at least one of"),
        ("models: zoo:a\ninterchangeable: [rck]\n", "plan.yaml:2: interchangeable.0: no device has"),
        ("models: zoo:a\nbase_dir: /\n", "plan.yaml:2: base_dir: unknown key"),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_file_and_line(tmp_path: Path, fleet: Fleet, text: str, words: str) -> None:
    assert words in failure(tmp_path, fleet, text)


def test_a_plan_survives_the_store_and_its_digest_means_its_content(tmp_path: Path, fleet: Fleet) -> None:
    text = "models: zoo:a\ndevices: rack\nexclude:\n  - {runtime: [mnn], why: no}\ncooldown: {seconds: 2}\n"
    plan, _ = read(tmp_path, text)
    assert SweepPlan.from_json(plan.to_json()) == plan
    assert read(tmp_path, "# a remark\nname: x\n" + text)[0].digest == plan.digest
    assert read(tmp_path, text + "repeats: 2\n")[0].digest != plan.digest


def test_stand_ins_share_a_tag_that_the_plan_calls_interchangeable(tmp_path: Path, fleet: Fleet) -> None:
    assert not any(stand_ins(read(tmp_path, "models: zoo:a\n")[0], fleet).values())
    equal = stand_ins(read(tmp_path, "models: zoo:a\ninterchangeable: rack\n")[0], fleet)
    assert equal == {"one": ("two",), "two": ("one",), "phone": (), "local": ()}


FACTS = DeviceFacts(
    os="linux", os_version="", kernel="", arch="riscv64", abis=("riscv64",), libc="glibc",
    libc_version="2.36", model="", soc=None, api_level=None, cores=4, clusters=(), memory_bytes=None,
    memory_available_bytes=None, disk_free_bytes=None, python_version="3.6.1",
)  # fmt: skip


def test_impossible_cells_are_left_out_with_the_reason(tmp_path: Path, fleet: Fleet) -> None:
    matrix = expanded(
        tmp_path,
        fleet,
        "models: zoo:a\ndevices: [one, phone]\nruntimes: [ncnn, onnxruntime]\n"
        "precisions: [fp32, int8-dynamic]\naccelerators: [cpu, gpu]\n",
    )
    checked = without_impossible(matrix, fleet, {}, None)
    assert {(cell.device, cell.runtime) for cell in checked.cells} == {
        ("one", "ncnn"), ("one", "onnxruntime"), ("phone", "ncnn"),
    }  # fmt: skip
    assert len(checked.cells) + len(checked.dropped) == 16
    told = "\n".join(dropped.reason for dropped in checked.dropped)
    assert "ncnn does not offer int8-dynamic" in told
    assert "serves accelerator gpu" in told
    assert "devices.yaml allows ncnn on phone, not onnxruntime" in told


def test_known_facts_tell_which_agent_is_impossible(tmp_path: Path, fleet: Fleet) -> None:
    (tmp_path / "more.yaml").write_text("devices: {board: {transport: ssh, address: board}}")
    boards = load_fleet(tmp_path / "more.yaml", tmp_path, tmp_path)
    matrix = expanded(tmp_path, boards, "models: zoo:a\ndevices: board\n")
    assert not without_impossible(matrix, boards, {}, None).dropped
    known = {"board": KnownFacts(FACTS, "2026-01-02")}
    (dropped,) = without_impossible(matrix, boards, known, None).dropped
    assert "board has Python 3.6.1 (as of 2026-01-02)" in dropped.reason
    assert "not built for linux riscv64" in dropped.reason
