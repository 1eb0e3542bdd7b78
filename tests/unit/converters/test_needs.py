"""Which versions of a runtime read an artifact: by what is in its files, or by what verified it."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from edgeflow_converters.errors import ConverterFailed
from edgeflow_converters.needs import Needs, needs_of, numbers
from edgeflow_converters.needs.onnx_versions import facts

VERIFIED = "1.32.0"


def onnx_file(folder: Path, opset: int, ir_version: int, domain: str = "", *, nested: bool = False) -> Path:
    """A model of one node, in a branch of an If if `nested`."""
    node = helper.make_node("Relu", ["x"], ["y"], domain=domain)
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    nodes = [node]
    if nested:
        branch = helper.make_graph([node], "branch", [], value[1:])
        nodes = [helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)]
    sets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(helper.make_graph(nodes, "g", value[:1], value[1:]), opset_imports=sets)
    model.ir_version = ir_version
    path = folder / "model.onnx"
    onnx.save(model, path)
    return path


def onnx_needs(path: Path) -> Needs:
    return needs_of("onnxruntime", path.parent, {"model": path.name}, VERIFIED)


@pytest.mark.parametrize(
    ("opset", "ir_version", "least", "too_old"),
    [
        (13, 7, "1.6", "1.5.2"),
        (13, 8, "1.11", "1.10.0"),
        (17, 8, "1.12", "1.11.1"),
        (17, 10, "1.18", "1.17.3"),
        (21, 9, "1.18", "1.17.3"),
    ],
)
def test_an_onnx_file_needs_the_first_version_of_its_operator_set_and_of_its_ir(
    tmp_path: Path, opset: int, ir_version: int, least: str, too_old: str
) -> None:
    needs = onnx_needs(onnx_file(tmp_path, opset, ir_version))
    assert needs.least == least and f"operator set {opset}" in needs.format
    assert needs.reads(least) and needs.reads(VERIFIED) and needs.reads("2.0.0")
    assert not needs.reads(too_old)


def test_what_no_table_tells_of_needs_what_verified_it(tmp_path: Path) -> None:
    assert onnx_needs(onnx_file(tmp_path, 27, 8)).least == VERIFIED
    for nested in (False, True):
        foreign = onnx_needs(onnx_file(tmp_path, 13, 8, "com.microsoft", nested=nested))
        assert foreign.least == VERIFIED and "com.microsoft" in foreign.why
    assert onnx_needs(onnx_file(tmp_path, 13, 8)).least == "1.11"  # imported, and no node uses it


def test_the_file_is_read_as_onnx_reads_it(tmp_path: Path) -> None:
    path = onnx_file(tmp_path, 15, 8, nested=True)
    model = onnx.load(path)
    assert facts(path) == (model.ir_version, model.opset_import[0].version, ())
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ConverterFailed, match=r"model\.onnx"):
        facts(path)


def test_where_nothing_is_promised_it_is_the_same_or_a_newer_one_of_the_same_major(tmp_path: Path) -> None:
    needs = needs_of("mnn", tmp_path, {}, "3.6.1")
    assert [needs.reads(version) for version in ("3.6.0", "3.6.1", "3.7", "4.0.0")] == [
        False,
        True,
        True,
        False,
    ]
    assert needs.told == "3.6.1 or newer, below 4"


def test_openvino_is_asked_by_its_operation_sets(tmp_path: Path) -> None:
    def needs(*sets: str) -> Needs:
        layers = "".join(f'<layer version="{name}"/>' for name in sets)
        (tmp_path / "m.xml").write_text(f'<net version="11"><layers>{layers}</layers></net>')
        return needs_of("openvino", tmp_path, {"xml": "m.xml"}, "2026.4.1")

    assert needs("opset1", "opset3").least == "2022.1"
    assert needs("opset1", "opset13").least == "2023.2"
    assert needs("opset99").least == needs("opset1", "extension").least == "2026.4.1"


def test_versions_are_numbers() -> None:
    assert numbers("2.13rc0") == (2, 13) and numbers("1.0.20261020+x") == (1, 0, 20261020)
    assert numbers("1.0.0") == numbers("1")
    with pytest.raises(ValueError, match="no version"):
        numbers("unknown")


def test_it_survives_the_artifacts_description() -> None:
    for needs in (Needs("a", "1", "2", "b"), Needs("a", "1", "", "b", ("arm64-v8a",), ("glibc", "musl"))):
        assert Needs.from_json(needs.to_json()) == needs
