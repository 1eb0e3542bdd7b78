"""Artifacts of every runtime, damaged by a seed: the loader or the gate catches each, and the intact passes.

Damage that changes no bit of an output is none (padding, names, an unused number): another is drawn.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeflow_converters.arrays import load_sets, save_sets
from edgeflow_converters.base import Artifact, Product
from edgeflow_converters.cache import Cache
from edgeflow_converters.check import compare, tolerance_for
from edgeflow_converters.errors import ConvertError
from edgeflow_converters.reference import reference_outputs
from edgeflow_converters.targets import get_target

pytestmark = [pytest.mark.network, pytest.mark.timeout(900)]  # the first use of tflite installs 670 MB

Random = np.random.Generator
Damage = Callable[[bytearray, Random], None]

MODELS = {"ncnn": "mtcnn-onet", "mnn": "mtcnn-onet", "onnxruntime": "mtcnn-onet", "openvino": "mtcnn-onet",
          "tflite": "ppocr-cls"}  # fmt: skip
SEEDS = 2
MAX_DRAWS = 6
TIMEOUT_S = 30
PLAUSIBLE = (1e-6, 1e2)  # absolute values of weights


def a_run(data: bytearray, random: Random, share: float) -> slice:
    length = max(8, int(len(data) * share)) & ~3
    start = int(random.integers(0, len(data) - length)) & ~3
    return slice(start, start + length)


def random_bytes(data: bytearray, random: Random) -> None:
    run = a_run(data, random, 0.02)
    data[run] = random.bytes(run.stop - run.start)


def zeros(data: bytearray, random: Random) -> None:
    run = a_run(data, random, 0.02)
    data[run] = bytes(run.stop - run.start)


def signs(data: bytearray, random: Random) -> None:
    """Those of the numbers in a run; where in it the numbers begin is told by how many are plausible."""
    run = a_run(data, random, 0.05)

    def plausible(shift: int) -> int:
        values = np.abs(np.frombuffer(bytes(data[run.start + shift : run.stop - 4 + shift]), "<f4"))
        with np.errstate(invalid="ignore"):
            return int(np.count_nonzero((values > PLAUSIBLE[0]) & (values < PLAUSIBLE[1])))

    for place in range(run.start + max(range(4), key=plausible) + 3, run.stop, 4):
        data[place] ^= 0x80


def one_byte_late(data: bytearray, random: Random) -> None:
    run = a_run(data, random, 0.05)
    data[run] = data[run.stop - 1 : run.stop] + data[run.start : run.stop - 1]


def truncated(data: bytearray, random: Random) -> None:
    del data[int(len(data) * random.uniform(0.3, 0.98)) :]


def a_number_of_the_text(data: bytearray, random: Random) -> None:
    """In a .param or .xml: a size, a stride, a shape, an offset."""
    text = data.decode()
    numbers = list(re.finditer(r'(?<==)\d+(?=\s)|(?<=[=,] )\d+|(?<=")\d+(?=[",])', text))
    found = numbers[int(random.integers(0, len(numbers)))]
    data[:] = (text[: found.start()] + str(int(found[0]) + 1) + text[found.end() :]).encode()


DAMAGES: dict[str, Damage] = {
    damage.__name__.replace("_", " "): damage
    for damage in (random_bytes, zeros, signs, one_byte_late, truncated, a_number_of_the_text)
}
TEXTS = {"ncnn": "param", "openvino": "xml"}
CASES: list[tuple[str, str, Damage, int]] = [
    (runtime, name, damage, seed)
    for runtime in MODELS
    for name, damage in DAMAGES.items()
    for seed in range(SEEDS)
    if damage is not a_number_of_the_text or runtime in TEXTS
]


@dataclass(frozen=True)
class Judge:
    """An artifact, and what its own runner and the gate say of changed copies of it."""

    artifact: Artifact
    reference: list[dict[str, Any]]
    samples: Path
    tools_root: Path

    def outputs(self, folder: Path) -> list[dict[str, Any]]:
        artifact, work = self.artifact, folder.parent
        product = Product(
            artifact.files,
            artifact.inputs,
            artifact.outputs,
            artifact.runtime_options,
            "",
            "",
            artifact.tools,
        )
        target = get_target(artifact.runtime, self.tools_root)
        target.run(product, folder, self.samples, work / "outputs.npz", work, TIMEOUT_S)
        return load_sets(work / "outputs.npz")

    def complaint(self, outputs: list[dict[str, Any]]) -> str:
        verdict = compare(self.reference, outputs, tolerance_for(self.artifact.precision))
        return next(iter(verdict.reasons), "")

    def weights(self) -> str:
        return self.artifact.files.get("bin") or self.artifact.files["model"]


def why_caught(
    judge: Judge, intact: list[dict[str, Any]], file: str, damage: Damage, seed: int, work: Path
) -> str:
    """What is said of the first copy whose damage is one; "" if nothing is."""
    for draw in range(MAX_DRAWS):
        folder = work / f"draw-{draw}" / "broken"
        shutil.copytree(judge.artifact.path, folder)
        data = bytearray((folder / file).read_bytes())
        damage(data, np.random.default_rng([seed, draw]))
        (folder / file).write_bytes(bytes(data))
        try:
            outputs = judge.outputs(folder)
        except ConvertError as error:
            return f"loader: {error.message}"
        if any(differ(a, b) for a, b in zip(outputs, intact, strict=True)):
            found = judge.complaint(outputs)
            return f"gate: {found}" if found else ""
        print(f"draw {draw} of seed {seed} in {file} changed no output: drawn again")
    pytest.fail(f"{MAX_DRAWS} draws of seed {seed} changed no output of {judge.artifact.runtime}")


def differ(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return any(first[name].tobytes() != second[name].tobytes() for name in second)


def test_there_are_fifty() -> None:
    assert len(CASES) >= 50 and {runtime for runtime, *_ in CASES} == set(MODELS)


@pytest.mark.parametrize("runtime", MODELS)
def test_damage_is_caught_and_the_intact_is_accepted(
    runtime: str,
    artifact_of: Callable[[str, str, str], Artifact],
    request_for: Callable[..., Any],
    cache_root: Path,
    tools_root: Path,
    tmp_path: Path,
) -> None:
    artifact = artifact_of(MODELS[runtime], runtime, "fp32")
    request = request_for(MODELS[runtime], runtime, "fp32", seed=20261125)  # inputs it has not seen
    save_sets(tmp_path / "samples.npz", request.samples)
    reference = reference_outputs(
        request.source, artifact.source_sha256, request.samples, Cache(cache_root), timeout_s=120
    )
    judge = Judge(artifact, reference, tmp_path / "samples.npz", tools_root)
    shutil.copytree(artifact.path, tmp_path / "intact" / "copy")
    intact = judge.outputs(tmp_path / "intact" / "copy")
    assert judge.complaint(intact) == ""

    def caught(case: tuple[str, str, Damage, int]) -> str:
        _, name, damage, seed = case
        work = tmp_path / f"{name}-{seed}"
        work.mkdir()
        file = artifact.files[TEXTS[runtime]] if damage is a_number_of_the_text else judge.weights()
        return why_caught(judge, intact, file, damage, seed, work)

    cases = [case for case in CASES if case[0] == runtime]
    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(caught, cases))
    for (_, name, _, seed), words in zip(cases, said, strict=True):
        print(f"{runtime}, {name}, seed {seed}: {words or 'NOT CAUGHT'}")
    assert all(said)
