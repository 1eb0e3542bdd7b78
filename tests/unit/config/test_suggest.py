"""What a misspelt name is taken for."""

from __future__ import annotations

from edgeflow.config.suggest import nearest


def test_the_nearest_name_or_the_only_one_that_begins_so() -> None:
    known = ["ppocr-det", "ppocr-rec", "mlsd-tiny", "pplcnet-orientation"]
    assert nearest("mlsd", known) == "mlsd-tiny"
    assert nearest("PPLCNET", known) == "pplcnet-orientation"
    assert nearest("ppocr-dett", known) == "ppocr-det"
    assert nearest("yolo", known) is None
