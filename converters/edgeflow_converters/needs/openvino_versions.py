"""Which OpenVINO reads an .xml: by the operation sets of its layers.

Source: "Available Operation Sets" of OpenVINO's documentation (2024.6). IR version 11 is read since 2022.1; a
newer OpenVINO reads what an older one wrote.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from edgeflow_converters.errors import ConverterFailed
from edgeflow_converters.needs import Needs

_OF_OPSET: Mapping[int, str] = MappingProxyType(
    {
        8: "2022.1", 9: "2022.2", 10: "2022.3", 11: "2023.0", 12: "2023.1", 13: "2023.2", 14: "2024.0",
        15: "2024.5",
    }
)  # fmt: skip
"""Operation set -> the first OpenVINO that has it; those before 8 go with IR version 11's first."""
_IR_VERSION = 11


def needs(path: Path, verified: str) -> Needs:
    """What reads the model at `path`. Raises ConverterFailed if it is no .xml of OpenVINO."""
    try:
        net = ET.parse(path).getroot()
        ir_version = int(net.attrib["version"])
        sets = {layer.attrib["version"] for layer in net.iter("layer")}
    except (ET.ParseError, KeyError, ValueError) as error:
        raise ConverterFailed(f"{path.name} is no model of OpenVINO: {error}") from None
    opsets = [int(found[1]) for name in sets if (found := re.fullmatch(r"opset(\d+)", name))]
    newest = max(opsets, default=1)
    what = f"OpenVINO IR {ir_version}, opset{newest}"
    first = next((version for number, version in sorted(_OF_OPSET.items()) if number >= newest), None)
    if first is None or ir_version > _IR_VERSION or len(opsets) < len(sets):
        return Needs(what, verified, "", "newer than the published table: the version that verified it")
    return Needs(what, first, "", "OpenVINO's table of operation sets")
