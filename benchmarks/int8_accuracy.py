"""What int8 keeps of efficientnet-lite0's answers, on photographs that nothing else has seen.

Each runtime's int8 product is converted as a deploy does, calibrated by the recipe's ten photographs, and
run by that runtime over views (whole, and seeded crops, half of them mirrored) of foolbox's ten others.
ONNX Runtime on the fp32 model is the judge: how often the same class wins, and the cosine of the logits.

    python benchmarks/int8_accuracy.py
    python benchmarks/int8_accuracy.py --runtimes ncnn,mnn --views 5
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from edgeflow import zoo
from edgeflow.config.home import edgeflow_home
from edgeflow.config.recipe import Recipe, load_recipe
from edgeflow.errors import EdgeflowError
from edgeflow.inputs.preprocess import load_input
from edgeflow.progress import Silent
from edgeflow.workspace import Workspace
from edgeflow.zoo.archive import extract_file
from edgeflow.zoo.fetch import fetch_archive
from edgeflow.zoo.manifest import FileSource, manifest
from edgeflow_converters.arrays import load_sets, save_sets
from edgeflow_converters.artifact import read_artifact
from edgeflow_converters.base import Product
from edgeflow_converters.cache import Cache
from edgeflow_converters.reference import reference_outputs
from edgeflow_converters.targets import get_target

MODEL, RUNTIMES = "efficientnet-lite0", ("tflite", "mnn", "ncnn", "openvino", "onnxruntime")
AGREEMENT, COSINE = 0.95, 0.99
SMALLEST_CROP = 0.6  # of a side
TIMEOUT_S = 1800
Sets = Sequence[dict[str, Any]]
UNSEEN = (
    ("imagenet_01_559.jpg", 60981, "559", "5f03b0c74dff01b5b4195d0beabcae2a625a406e6917957ab9c455b5b7dea6d6"),
    ("imagenet_03_990.jpg", 91433, "990", "c7f0b2f1e9ee39d8f900759e8983afa2e4a2d7de090060e8bb947f6e90cace5f"),
    ("imagenet_05_853.jpg", 82330, "853", "8a449436c61da867528b1f4efaf8ae832ab9c9201705eae0d3af1353fbdac131"),
    ("imagenet_07_609.jpg", 93555, "609", "2c297ad1e5c4804a647e9b34bc02ee2fc348b05a4d49050d170fb61c948efa5c"),
    (
        "imagenet_09_455.jpg",
        130424,
        "455",
        "ace3716b60ac5843269b270e17020e4f8138440cd30ef3487f7d6e54da9745a4",
    ),
    ("imagenet_11_630.jpg", 27498, "630", "892dff58fc528fe63d2df0c783aa3eca2342637798578ce01763fbc0553eda01"),
    ("imagenet_13_471.jpg", 72748, "471", "52ed0e738b90d27afcabc3e92c81ae637f160c2d9f75b93a65211005ab5dcd81"),
    ("imagenet_15_99.jpg", 111008, "99", "4b588649cd835d4c65521727ebee03d9621baff1f54d3e8a53a26b53d983ec2e"),
    ("imagenet_17_22.jpg", 30745, "22", "b432341845620e9cfd67d848c4783c32dd6eaddad45513866b17180d2b09fcf5"),
    ("imagenet_19_305.jpg", 38110, "305", "e1f58f00e2e47ce930d7ecab0e46a78316054f68c10d0742e87c1cc092324556"),
)
"""File, bytes, class, SHA-256."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runtimes", default=",".join(RUNTIMES))
    parser.add_argument("--views", type=int, default=20, help="of each of the ten photographs")
    options = parser.parse_args()
    home = edgeflow_home()
    model = zoo.pull(MODEL, home)
    recipe = load_recipe(model.recipe_path)
    workspace = Workspace(home, Path.cwd())
    missed = []
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        labels, inputs = zip(*unseen(recipe, folder, options.views), strict=True)
        save_sets(folder / "inputs.npz", inputs)
        expected = reference_outputs(
            model.model_path, "unseen", inputs, Cache(folder / "reference"), timeout_s=TIMEOUT_S
        )
        right = np.mean(
            [int(answer(sets)) == int(label) for sets, label in zip(expected, labels, strict=True)]
        )
        print(f"{len(inputs)} inputs; fp32 names the labelled class in {right:.3f} of them", flush=True)
        for runtime in options.runtimes.split(","):
            try:
                path = convert(model.recipe_path, runtime, workspace)
            except EdgeflowError as error:
                print(f"{runtime}: {error.message} ({error.hint})", flush=True)
                missed.append(runtime)
                continue
            if not judged(runtime, path, outputs(path, workspace, folder), expected):
                missed.append(runtime)
    return 1 if missed else 0


def judged(runtime: str, path: Path, got: Sets, expected: Sets) -> bool:
    """Whether an artifact's outputs are near enough to the expected; prints its figures and its notes."""
    artifact = read_artifact(path, cached=True)
    agreement = float(np.mean([answer(a) == answer(b) for a, b in zip(got, expected, strict=True)]))
    cosines = [cosine(a, b) for a, b in zip(got, expected, strict=True)]
    enough = agreement >= AGREEMENT and float(np.mean(cosines)) >= COSINE
    print(f"{runtime}: {artifact.size_bytes} bytes{'' if enough else '; MISSED'}")
    print(f"    the same class wins in {agreement:.3f}, at least {AGREEMENT} is asked for")
    print(f"    cosine {np.mean(cosines):.4f}, at least {COSINE} is asked for; worst {min(cosines):.4f}")
    for note in artifact.notes:
        print(f"    {note}", flush=True)
    return enough


def convert(recipe: Path, runtime: str, workspace: Workspace) -> Path:
    from edgeflow import api

    document = api.convert(
        str(recipe), runtime=runtime, precision="int8", output=None, workspace=workspace, progress=Silent()
    )
    return Path(document["path"])


def outputs(path: Path, workspace: Workspace, folder: Path) -> list[dict[str, Any]]:
    """What the runtime computes of all inputs."""
    artifact = read_artifact(path, cached=True)
    product = Product(
        artifact.files, artifact.inputs, artifact.outputs, artifact.runtime_options, "", "", artifact.tools
    )
    target = get_target(artifact.runtime, workspace.tools_dir)
    target.run(product, path, folder / "inputs.npz", folder / "outputs.npz", folder, TIMEOUT_S)
    return load_sets(folder / "outputs.npz")


def answer(sets: dict[str, Any]) -> int:
    return int(np.argmax(sets["logits"]))


def cosine(a: dict[str, Any], b: dict[str, Any]) -> float:
    x, y = (sets["logits"].astype(np.float64).ravel() for sets in (a, b))
    return float(x @ y / (np.linalg.norm(x) * np.linalg.norm(y)))


def unseen(recipe: Recipe, folder: Path, views: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """(label, inputs) of each view of each photograph that the recipe does not have."""
    package = manifest().entry(MODEL).samples[0].package
    (folder / "package").mkdir()
    archive = fetch_archive(package, folder / "package")
    (name,) = recipe.inputs
    random = np.random.default_rng(0)
    for file, size, label, sha256 in UNSEEN:
        source = FileSource(path=f"foolbox/data/{file}", sha256=sha256, bytes=size)
        extract_file(archive, source, folder / file)
        with Image.open(folder / file) as opened:
            photo = opened.convert("RGB")
        for index in range(views):
            view = folder / f"{file}-{index}.png"
            (photo if index == 0 else crop(photo, random)).save(view)
            yield label, {name: load_input(recipe.inputs[name], view, name)}
            view.unlink()


def crop(photo: Image.Image, random: np.random.Generator) -> Image.Image:
    share = float(random.uniform(SMALLEST_CROP, 1.0))
    width, height = int(photo.width * share), int(photo.height * share)
    left = int(random.integers(0, photo.width - width + 1))
    top = int(random.integers(0, photo.height - height + 1))
    part = photo.crop((left, top, left + width, top + height))
    return part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.integers(2) else part


if __name__ == "__main__":
    sys.exit(main())
