"""The families of layers: each module's KINDS lead from Keras's classes to their functions."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from edgeflow_converters.sources.keras.ops import activation, conv, dense, merge, norm, pool, resize, shape
from edgeflow_converters.sources.keras.translation import Write

KINDS: Mapping[str, Write] = MappingProxyType(
    {
        kind: write
        for family in (activation, conv, dense, merge, norm, pool, resize, shape)
        for kind, write in family.KINDS.items()
    }
)
"""Class of a layer -> what writes it."""
