"""The model in an older operator set, for runtimes that know its forms better: axes of a ReduceMean as an
attribute.

By ONNX's version converter where it has a way down for every operator; else the oldest set in which all the
model's operators are what they are in its own, by their schemas.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from edgeflow_converters.inspect import STANDARD_DOMAINS, all_nodes, standard_opset

if TYPE_CHECKING:
    import onnx

OPSETS: Mapping[str, int] = MappingProxyType({"ncnn": 17, "mnn": 17})
"""Runtime -> the operator set that the tool which makes its files reads best."""


def older(model: onnx.ModelProto, wanted: int) -> onnx.ModelProto:
    """The model in operator set `wanted`, or in the oldest after it that can be had; the same model if it is
    older."""
    import onnx.version_converter

    own = standard_opset(model)
    if own <= wanted:
        return model
    oldest = max(wanted, _unchanged_since(model))
    if oldest > wanted:
        for opset in range(wanted, oldest):
            try:
                made: onnx.ModelProto = onnx.version_converter.convert_version(model, opset)
            except Exception:  # it has no way down to this one
                continue
            return made
    if oldest == own:
        return model
    relabelled = onnx.ModelProto()
    relabelled.CopyFrom(model)
    for entry in relabelled.opset_import:
        if entry.domain in STANDARD_DOMAINS:
            entry.version = oldest
    return relabelled


def _unchanged_since(model: onnx.ModelProto) -> int:
    """The oldest operator set in which each of the model's operators is as in its own."""
    import onnx

    own = standard_opset(model)
    kinds = {node.op_type for node in all_nodes(model.graph) if node.domain in STANDARD_DOMAINS}
    return max((onnx.defs.get_schema(kind, own).since_version for kind in kinds), default=own)
