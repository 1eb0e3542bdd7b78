"""Of several ways to make a product, the one that the gate likes best.

How activation ranges are found (by extremes, moving averages, divergence) decides how good a quantized model
is, and no way is the best for every model: each is tried, run, and judged by the gate's own figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from edgeflow_converters.arrays import load_sets, save_sets
from edgeflow_converters.base import Converter, ConvertRequest, Product, ProgressFn
from edgeflow_converters.check import Verdict, compare, tolerance_for
from edgeflow_converters.errors import ConverterFailed, ConverterTimeout, UnsupportedModel
from edgeflow_converters.runners import process

Maker = Callable[[Path], Product]

_NONE: Mapping[str, Maker] = MappingProxyType({})


def best_of(
    target: Converter,
    makers: Mapping[str, Maker],
    request: ConvertRequest,
    out: Path,
    work: Path,
    progress: ProgressFn,
    *,
    enough: float = 0.0,
    fallbacks: Mapping[str, Maker] = _NONE,
) -> Product:
    """The product, its files in `out`, of the maker whose outputs strain the tolerance least; the first one
    that strains it by `enough` or less ends the search. `fallbacks` come after that, one by one, while none
    is within the tolerance.

    `request.source` is the prepared model. A maker that fails is out of the running; if all do, the first
    one's error is raised. One that does not end in time ends the search too.
    """
    samples, reference = work / "best-samples.npz", work / "best-reference.npz"
    save_sets(samples, request.samples)
    spec = {
        "model": str(request.source),
        "optimise": False,
        "samples": str(samples),
        "result": str(reference),
    }
    what = "ONNX Runtime, running the prepared model,"
    process.call("onnxruntime", spec, what=what, cwd=work, timeout_s=request.timeout_s)
    tolerance = request.tolerance or tolerance_for(request.precision)
    tried: dict[str, tuple[float, Product]] = {}
    failures: dict[str, ConverterFailed | UnsupportedModel] = {}
    for name, make in (*makers.items(), *fallbacks.items()):
        if name in fallbacks and any(found <= 1.0 for found, _ in tried.values()):
            break
        progress(f"quantize ({name})")
        folder, result = work / f"try-{name}", work / f"{name}-outputs.npz"
        folder.mkdir()
        try:
            product = make(folder)
            target.run(product, folder, samples, result, work, request.timeout_s)
        except ConverterTimeout as error:  # the others would take as long
            failures[name] = error
            break
        except (ConverterFailed, UnsupportedModel) as error:
            failures[name] = error
            continue
        verdict = compare(
            load_sets(reference), load_sets(result), tolerance, top1_outputs=request.top1_outputs
        )
        tried[name] = strain(verdict), product
        if tried[name][0] <= enough:
            break
    if not tried:
        raise next(iter(failures.values()))
    chosen = min(tried, key=lambda name: tried[name][0])
    product = tried[chosen][1]
    for file in product.files.values():
        (work / f"try-{chosen}" / file).rename(out / file)
    told = [f"{name} {_shown(value)}" for name, (value, _) in tried.items()]
    told += [f"{name} failed ({error.message})" for name, error in failures.items()]
    note = f"quantized by {chosen}; share of the tolerance that each way takes: {', '.join(told)}"
    return replace(product, notes=(*product.notes, note))


def strain(verdict: Verdict) -> float:
    """How much of its tolerance a verdict's worst figure takes: up to 1 passes; infinite where shapes differ
    or another class wins."""
    limits = verdict.tolerance
    if any(output.top1_changes for output in verdict.outputs.values()):
        return math.inf
    shares = [
        share
        for output in verdict.outputs.values()
        for share in (
            (1.0 - output.cosine_min) / (1.0 - limits.cosine_min),
            output.rel_err_max / limits.rel_err_max,
            output.channel_err_max / limits.channel_err_max,
            output.log_odds_err_max / limits.log_odds_err_max,
        )
    ]
    worst = max(shares, default=math.inf)
    return worst if verdict.passed or verdict.blind or worst > 1.0 else math.inf


def _shown(value: float) -> str:
    return f"{value:.2g}" if math.isfinite(value) else "all of it"
