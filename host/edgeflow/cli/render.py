"""Documents as tables: pure functions from the JSON that --json prints to what a person reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgeflow.cli.tables import new_table, state_text
from edgeflow.cli.units import bytes_text, cosine_text, count_text, ms_text, percent_text

Document = Mapping[str, Any]


def result_view(result: Document) -> RenderableType:
    """One measured result: the answer, the verdicts, the figures, and under which conditions they hold."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in _result_rows(result):
        grid.add_row(name, value)
    return Group(_headline(result), grid)


def _headline(result: Document) -> Text:
    runtime, precision = result["runtime"], result["precision"]
    parts = [
        result["model"]["name"],
        result["device"]["name"],
        f"{runtime['name']} {runtime['version']}"
        + (" (common layers only)" if runtime.get("layers") == "common" else ""),
        f"{precision['name']} (weights {precision['weights']}, compute {precision['compute']})",
        f"{runtime['accelerator']}, {count_text(result['threads'], 'thread')}{_cores(result['affinity'])}"
        + (f", governor {result['governor']}" if result.get("governor") else ""),
    ]
    return Text("  ·  ".join(parts), style="bold")


def _cores(affinity: Sequence[int] | None) -> str:
    return "" if affinity is None else f" on core {', '.join(map(str, affinity))}"


def _result_rows(result: Document) -> list[tuple[str, RenderableType]]:
    rows: list[tuple[str, RenderableType]] = []
    if result["prediction"] is not None:
        rows.append(("answer", _prediction(result["prediction"])))
    rows.append(("numerics", _numerics(result["numerics"])))
    rows.append(("validity", _validity(result["validity"])))
    latency = result["latency_ms"]
    rows += [
        (
            "latency",
            f"median {ms_text(latency['median'])}  {_interval(latency)}  {_window(result)}",
        ),
        (
            "",
            "  ".join(
                f"{name} {ms_text(latency[name], like=latency['median'])}"
                for name in ("min", "p90", "p95", "p99", "max", "mad")
            ),
        ),
        ("start", f"load {ms_text(result['init_ms'])}  first run {ms_text(result['first_ms'])}"),
        ("memory", _memory(result["memory"])),
        ("energy", _energy(result["energy"])),
        ("conditions", _conditions(result["conditions"])),
        ("model", _artifact(result)),
        (
            "result",
            f"{result['result_id']}   edgeflow results show {result['result_id']} --json: raw samples",
        ),
    ]
    return rows


def _interval(latency: Document) -> str:
    if latency["ci95"] is None or not latency["median"]:
        return "too few samples for an interval"
    low, high = latency["ci95"]
    return f"±{percent_text((high - low) / 2 / latency['median'])} (95 % CI)"


def _window(result: Document) -> str:
    why = {"ci": "interval reached", "budget": "budget spent", "max_samples": "enough samples"}
    return f"n = {result['latency_ms']['n']}  {result['mode']}, {why[result['stop']]}"


def _prediction(prediction: Document) -> str:
    text = f"{prediction['label']} (score {prediction['score']:.3f})"
    expected = prediction.get("expected")
    if expected is None:
        return text
    verdict = "right" if expected == prediction["label"] else f"WRONG, expected {expected}"
    return f"{text}: {verdict} for {prediction['input']}"


def _numerics(numerics: Document) -> Text:
    text = state_text(numerics["verdict"])
    text.append(
        f"  on the device against ONNX Runtime fp32: cosine >= {cosine_text(numerics['cosine_min'])}, "
        f"relative error <= {numerics['rel_err_max']:.2g}, {count_text(numerics['samples'], 'input')}"
    )
    for warning in numerics["warnings"]:
        text.append(f"\n{warning}", style="yellow")
    return text


def _validity(validity: Document) -> Text:
    text = state_text(validity["state"])
    if validity["reasons"]:
        text.append("  " + "; ".join(validity["reasons"]))
    return text


def _memory(memory: Document) -> str:
    text = (
        f"peak RSS {bytes_text(memory['peak_rss_bytes'])}: model {bytes_text(memory['model_bytes'])}, "
        f"runtime {bytes_text(memory['runtime_bytes'])}"
    )
    if memory.get("interpreter_bytes") is not None:
        text += f", Python {bytes_text(memory['interpreter_bytes'])}"
    return text


def _energy(energy: Document) -> str:
    if not energy["available"]:
        return f"not measurable: {energy['reason']}"
    figure = f"{energy['mj_per_inference']:.3g} ± {energy['uncertainty_mj']:.2g} mJ"
    return f"{figure} per inference ({energy['source']})"


def _conditions(conditions: Document) -> str:
    parts = []
    temperature = conditions["temperature_c"]
    if temperature["max"] is not None:
        parts.append(f"{temperature['start']:.0f} -> {temperature['end']:.0f} °C")
    else:
        parts.append("no temperature sensor")
    frequencies = conditions["frequency_mhz"].values()
    if frequencies:
        low, high = min(cpu["min"] for cpu in frequencies), max(cpu["max"] for cpu in frequencies)
        parts.append(f"{low:.0f}-{high:.0f} MHz")
    else:
        parts.append("no frequency reading")
    if conditions["other_load"] is not None:
        parts.append(f"other load {percent_text(conditions['other_load'])}")
    return ", ".join(parts)


def _artifact(result: Document) -> str:
    artifact, transfer = result["artifact"], result["transfer"]
    moved = (
        f"pushed {bytes_text(transfer['pushed_bytes'])}" if transfer["pushed_bytes"] else "nothing to push"
    )
    origin = "from the cache" if artifact["cached"] else "converted now"
    return f"{bytes_text(artifact['size_bytes'])} {origin}, {moved}"


def artifact_view(document: Document) -> RenderableType:
    """A converted artifact: where it is and how it compares."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("artifact", document["path"])
    grid.add_row("files", ", ".join(document["files"].values()))
    grid.add_row(
        "precision",
        f"{document['precision']} (weights {document['weights_dtype']}, compute {document['compute_dtype']})",
    )
    grid.add_row(
        "size", bytes_text(document["size_bytes"]) + (" from the cache" if document["cached"] else "")
    )
    verdict = document["numerics"]
    text = state_text(verdict["verdict"])
    text.append(
        f"  against ONNX Runtime fp32 on this host: cosine >= {cosine_text(verdict['cosine_min'])}, "
        f"relative error <= {verdict['rel_err_max']:.2g}, {count_text(verdict['samples'], 'input')}"
    )
    grid.add_row("numerics", text)
    grid.add_row("tools", ", ".join(f"{name} {version}" for name, version in document["tools"].items()))
    if document["needs"] is not None:
        versions = document["needs"]["runtime_versions"]
        below = f", below {versions['below']}" if versions["below"] else ""
        grid.add_row(
            "read by", f"{document['runtime']} {versions['least']} or newer{below} ({versions['why']})"
        )
    for note in document["notes"]:
        grid.add_row("note", note)
    if "explanation" in document:
        grid.add_row("explain", document["explanation"])
    return grid


def run_view(document: Document) -> RenderableType:
    """Answers of one run: a label and the best scores, or what each output tensor holds."""
    lines: list[RenderableType] = []
    prediction = document["prediction"]
    if prediction is not None:
        lines.append(Text(f"{prediction['label']}  (score {prediction['score']:.4f})", style="bold"))
        for other in prediction["top"][1:]:
            lines.append(Text(f"  {other['label']}  {other['score']:.4f}"))
    else:
        table = new_table("output", "shape", "dtype", "min", "mean", "max", "NaN or infinite")
        for output in document["outputs"]:
            table.add_row(
                output["name"],
                "x".join(map(str, output["shape"])),
                output["dtype"],
                *("" if output[key] is None else f"{output[key]:.6g}" for key in ("min", "mean", "max")),
                str(output["not_finite"]) if output["not_finite"] else "none",
            )
        lines.append(table)
    if document["output_file"]:
        lines.append(Text(f"all tensors: {document['output_file']}"))
    return Group(*lines)


def devices_view(document: Document) -> RenderableType:
    """The fleet as devices.yaml has it."""
    table = new_table("device", "transport", "address", "tags", "runtimes")
    for device in document["devices"]:
        table.add_row(
            device["name"],
            device["transport"],
            device["address"] or "",
            " ".join(device["tags"]),
            " ".join(device["runtimes"]) or "any",
        )
    return Group(table, Text(document["origin"], style="dim"))


def check_view(document: Document) -> RenderableType:
    """What each device answered, and the cure of what is wrong."""
    table = new_table("device", "state", "what", "try")
    for device in document["devices"]:
        table.add_row(device["name"], state_text(device["state"]), device["what"], device["fix"])
    return table


def scan_view(document: Document) -> RenderableType:
    """Devices within reach, and the entries that would name them."""
    table = new_table("device", "found by", "known as", "needs first")
    for device in document["devices"]:
        table.add_row(device["name"], device["source"], device["known_as"], device["problem"])
    lines: list[RenderableType] = [table] if document["devices"] else [Text("no device found")]
    lines += [Text(f"note: {note}", style="yellow") for note in document["notes"]]
    if document["written"]:
        lines.append(Text(f"added to {document['devices_file']}: {', '.join(document['written'])}"))
    elif document["yaml"]:
        lines.append(Text(f"\nfor {document['devices_file']} (edgeflow devices scan --write adds it):\n"))
        lines.append(Text(document["yaml"].rstrip()))
    return Group(*lines)


def lab_view(document: Document) -> RenderableType:
    """The virtual devices."""
    table = new_table("device", "state", "address", "link", "what it is")
    for device in document["devices"]:
        table.add_row(
            device["name"],
            device["state"],
            device["address"] or "",
            device["link"] or "",
            device["description"],
        )
    return table


def facts_view(document: Document) -> RenderableType:
    """The facts of one device, a line each; what it does not tell is not shown as a value."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in document["facts"].items():
        grid.add_row(name, _fact(name, value))
    return grid


def _fact(name: str, value: object) -> str:
    if value is None:
        return "none was found" if name == "python_version" else "not told by the device"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name.endswith("_bytes") and isinstance(value, int):
        return bytes_text(value)
    if name == "clusters" and isinstance(value, Sequence):
        return "; ".join(_cluster(cluster) for cluster in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {item}" for key, item in value.items()) or "none"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def _cluster(cluster: Document) -> str:
    speed = "" if cluster["max_mhz"] is None else f" up to {cluster['max_mhz']:.0f} MHz"
    return f"{len(cluster['cores'])} x {cluster['part'] or 'core'}{speed}"


def zoo_view(document: Document) -> RenderableType:
    """The zoo's models."""
    table = new_table("model", "what it does", "size", "licence", "package", "here")
    for model in document["models"]:
        table.add_row(
            model["name"],
            model["summary"],
            bytes_text(model["size_bytes"]),
            model["licence"],
            model["package"],
            "yes" if model["pulled"] else "",
        )
    return table


def results_view(document: Document) -> RenderableType:
    """Stored results, the newest first; a column in which all rows are alike is left out."""
    columns = ("model", "device", "runtime", "precision", "threads", "mode")
    rows = document["results"]
    if not rows:
        filtered = document["filtered"]
        return Text("no results match" if filtered else "no results yet: edgeflow deploy makes the first")
    shown = [name for name in columns if len(rows) == 1 or len({row[name] for row in rows}) > 1]
    same = [f"{name} {rows[0][name]}" for name in columns if name not in shown]
    sweeps = ["sweep"] if any(row["sweep"] for row in rows) else []
    table = new_table("id", "started (UTC)", *shown, "median", "p95", "numerics", "validity", *sweeps)
    for row in rows:
        table.add_row(
            row["result_id"],
            row["started_at"][:19].replace("T", " "),
            *(str(row[name]) for name in shown),
            ms_text(row["median_ms"]),
            ms_text(row["p95_ms"]),
            state_text(row["numerics"]),
            state_text(row["validity"]),
            *(row[name] or "" for name in sweeps),
        )
    return Group(Text("all: " + ", ".join(same), style="dim"), table) if same else table
