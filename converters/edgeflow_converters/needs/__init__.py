"""What a device must have to read an artifact: the versions of its runtime, and a processor if only some do.

A range is a fact of the files where the runtime's makers publish one: ONNX's operator set and IR version,
OpenVINO's operation sets, the versions of TensorFlow Lite's operators. Where they promise nothing that can be
read in the file (ncnn, MNN, Paddle Lite, SNPE), it is the version that verified the artifact or a newer one
of the same major version.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class Needs:
    """Versions from `least` on, up to `below` (exclusive; empty: any newer one). `format` names what is in
    the files, `why` what the range rests on. `abis` and `libcs`: the only ones that will do; empty: any.
    """

    format: str
    least: str
    below: str
    why: str
    abis: tuple[str, ...] = ()
    libcs: tuple[str, ...] = ()

    def reads(self, version: str) -> bool:
        """Whether a runtime of this version reads the artifact."""
        found = numbers(version)
        return numbers(self.least) <= found and (not self.below or found < numbers(self.below))

    @property
    def told(self) -> str:
        """The range for people: `1.12 or newer`."""
        return f"{self.least} or newer" + (f", below {self.below}" if self.below else "")

    def to_json(self) -> dict[str, Any]:
        return {
            "format": self.format,
            "runtime_versions": {"least": self.least, "below": self.below or None, "why": self.why},
            "abis": list(self.abis) or "any",
            "libcs": list(self.libcs) or "any",
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Needs:
        versions = data["runtime_versions"]

        def names(key: str) -> tuple[str, ...]:
            return () if data[key] == "any" else tuple(data[key])

        return cls(
            data["format"],
            versions["least"],
            versions["below"] or "",
            versions["why"],
            names("abis"),
            names("libcs"),
        )


def numbers(version: str) -> tuple[int, ...]:
    """`1.0.20261020` as numbers to compare; what follows them (rc1, +cpu) does not count, nor do zeros at the
    end. Raises ValueError for what does not begin with a number."""
    found = re.match(r"\d+(\.\d+)*", version)
    if found is None:
        raise ValueError(f"{version!r} is no version")
    parts = [int(part) for part in found[0].split(".")]
    while len(parts) > 1 and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def verified_by(runtime: str, tools: Mapping[str, str]) -> str:
    """The version of the runtime that ran a product here, of the versions of its tools."""
    return tools[_PACKAGES.get(runtime, runtime)].split(" ")[0]


def needs_of(runtime: str, folder: Path, files: Mapping[str, str], verified: str) -> Needs:
    """What reads the product in `folder`. `verified` is the version of the runtime that ran it here.

    Raises ConverterFailed for files that are not of their format.
    """
    paths = {role: folder / name for role, name in files.items()}
    reader = _READERS.get(runtime)
    if reader is None:
        return same_or_newer(_FORMATS.get(runtime, runtime), verified)
    return reader(paths, verified)


def same_or_newer(what: str, verified: str) -> Needs:
    """The rule where nothing is promised: what verified it, or a newer one of the same major version."""
    major = numbers(verified)[0]
    why = f"verified by {verified}; its makers promise nothing of older versions"
    return Needs(what, verified, str(major + 1), why)


def _onnx(paths: Mapping[str, Path], verified: str) -> Needs:
    from edgeflow_converters.needs import onnx_versions

    return onnx_versions.needs(paths["model"], verified)


def _tflite(paths: Mapping[str, Path], verified: str) -> Needs:
    from edgeflow_converters.needs import tflite_versions

    return tflite_versions.needs(paths["model"], verified)


def _openvino(paths: Mapping[str, Path], verified: str) -> Needs:
    from edgeflow_converters.needs import openvino_versions

    return openvino_versions.needs(paths["xml"], verified)


_READERS: Mapping[str, Callable[[Mapping[str, Path], str], Needs]] = MappingProxyType(
    {"onnxruntime": _onnx, "tflite": _tflite, "openvino": _openvino}
)
_PACKAGES: Mapping[str, str] = MappingProxyType({"tflite": "ai-edge-litert", "snpe": "onnxruntime-qnn"})
"""Runtime -> the tool whose version is the runtime's, where it is not called the same."""
_FORMATS: Mapping[str, str] = MappingProxyType(
    {"ncnn": "ncnn .param and .bin", "mnn": ".mnn", "paddlelite": ".nb", "snpe": ".dlc"}
)
