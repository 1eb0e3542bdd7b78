"""Result ids."""

from __future__ import annotations

import time

import pytest

from edgeflow.store import new_result_id


def test_ids_are_short_unique_and_name_no_look_alikes() -> None:
    ids = [new_result_id() for _ in range(200)]
    assert len(set(ids)) == len(ids)
    assert {len(result_id) for result_id in ids} == {12}
    assert not set("".join(ids)) & set("ilou")


def test_ids_sort_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    moments_ns = [
        1_600_000_000 * 10**9,
        1_700_000_000 * 10**9,
        1_700_000_000 * 10**9 + 10**6,
        2_500_000_000 * 10**9,
    ]
    ids = []
    for moment_ns in moments_ns:
        monkeypatch.setattr(time, "time_ns", lambda moment_ns=moment_ns: moment_ns)
        ids.append(new_result_id())
    assert ids == sorted(ids)
