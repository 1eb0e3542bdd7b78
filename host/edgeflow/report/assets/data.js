// The document as the other files use it: results as rows, series decoded when they are asked for, cells.

const report = JSON.parse(document.getElementById("report-data").textContent);

/** One object a result; columns of `shared` give the value itself. */
const results = report.results.id.map((_, row) => {
  const result = { row };
  for (const [name, column] of Object.entries(report.results)) {
    result[name] = name in report.shared ? report.shared[name][column[row]] : column[row];
  }
  return result;
});

/** Where each series begins in the bytes: row -> kind -> place. */
const seriesIndex = (() => {
  const index = new Map();
  const { row, kind, kinds, n, low, width, every } = report.series;
  let offset = 0;
  for (let at = 0; at < row.length; at += 1) {
    if (!index.has(row[at])) index.set(row[at], {});
    index.get(row[at])[kinds[kind[at]]] = { offset, n: n[at], low: low[at], width: width[at], every: every[at] };
    offset += n[at] * width[at];
  }
  return index;
})();

let seriesBytes = null;

/** A raw series of a result as whole numbers, or null; instants (`_t_ns`, starts) come as they were, not as steps. */
function series(result, kind) {
  const place = seriesIndex.get(result.row)?.[kind];
  if (!place) return null;
  seriesBytes ??= Uint8Array.from(atob(report.series.data), (letter) => letter.charCodeAt(0));
  const grows = kind === "starts_ns" || kind.endsWith("_t_ns");
  const values = new Array(place.n);
  let last = 0;
  for (let at = 0; at < place.n; at += 1) {
    let value = 0;
    for (let byte = place.width - 1; byte >= 0; byte -= 1) {
      value = value * 256 + seriesBytes[place.offset + at * place.width + byte];
    }
    value += place.low;
    last = grows ? last + value : value;
    values[at] = last;
  }
  return values;
}

/** Of how many samples one is in the file: 1, unless the run was so long that it was thinned. */
function everyOf(result) {
  return seriesIndex.get(result.row)?.samples_ns?.every ?? 1;
}

function samplesMs(result) {
  return (series(result, "samples_ns") ?? []).map((value) => value / 1e6);
}

/** The p-quantile of ascending values, linear between ranks (Hyndman & Fan's type 7), as the figures have it. */
function quantile(ordered, p) {
  if (!ordered.length) return null;
  const at = (ordered.length - 1) * p;
  const below = Math.floor(at);
  const above = Math.min(below + 1, ordered.length - 1);
  return ordered[below] + (at - below) * (ordered[above] - ordered[below]);
}

const ascending = (values) => Float64Array.from(values).sort();
const medianOf = (values) => quantile(ascending(values), 0.5);

const CELL_KEYS = ["model", "device", "runtime", "precision", "accelerator", "threads", "mode"];
const cellKey = (found) => JSON.stringify(CELL_KEYS.map((name) => found[name] ?? null));
const STATES = ["valid", "suspect", "invalid"];

/** A result's state: what it was judged, and never better than invalid where the device was emulated. */
function stateOf(result) {
  if (result.emulated) return "invalid";
  return STATES.includes(result.validity) ? result.validity : "invalid";
}

/** Figures of which a reader may choose; less is better in all of them. */
const METRICS = {
  median_ms: { name: "median latency", unit: "ms", of: (result) => result.median_ms },
  p95_ms: { name: "p95 latency", unit: "ms", of: (result) => result.p95_ms },
  first_ms: { name: "first inference", unit: "ms", of: (result) => result.first_ms },
  init_ms: { name: "load time", unit: "ms", of: (result) => result.init_ms },
  rel_err_max: {
    name: "disagreement: relative error", unit: "error", of: (result) => result.rel_err_max,
    note: "against ONNX Runtime fp32: agreement with the source model, not accuracy on a data set",
  },
  cosine: {
    name: "disagreement: 1 − cosine", unit: "error",
    of: (result) => (result.cosine_min === null ? null : Math.max(0, 1 - result.cosine_min)),
    note: "against ONNX Runtime fp32, of the worst output",
  },
  artifact_bytes: { name: "artifact size", unit: "bytes", of: (result) => result.artifact_bytes },
  peak_rss_bytes: { name: "peak memory (RSS)", unit: "bytes", of: (result) => result.peak_rss_bytes },
  energy_mj: { name: "energy per inference", unit: "mJ", of: (result) => result.energy_mj },
};

/**
 * Results of one cell. Its figures are medians over the rounds of the newest measurement (a sweep, or a single
 * deploy), over its valid rounds; where none is valid, over the suspect ones; else over the invalid ones.
 */
function cellOf(rounds) {
  const newest = rounds[rounds.length - 1];
  const current = newest.sweep ? rounds.filter((found) => found.sweep === newest.sweep) : [newest];
  const state = STATES.find((word) => current.some((found) => stateOf(found) === word));
  const used = current.filter((found) => stateOf(found) === state);
  const cell = { key: cellKey(newest), rounds, current, used, state, emulated: current.some((found) => found.emulated) };
  for (const name of CELL_KEYS) cell[name] = newest[name];
  cell.figures = {};
  for (const [name, metric] of Object.entries(METRICS)) {
    const known = used.map(metric.of).filter((value) => value !== null && value !== undefined);
    cell.figures[name] = known.length ? medianOf(known) : null;
  }
  cell.reasons = [...new Set(current.flatMap((found) => found.reasons ?? []))];
  return cell;
}

/** Cells of some results, in the order in which they were first measured. */
function cellsOf(some) {
  const groups = new Map();
  for (const result of some) {
    const key = cellKey(result);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(result);
  }
  return [...groups.values()].map(cellOf);
}

const distinct = (values) => [...new Set(values)];

/** The keys in which anything here differs: what a label has to say. What is not known does not tell apart. */
const varied = CELL_KEYS.filter(
  (name) => distinct([...results, ...report.missing].map((found) => found[name] ?? null)).filter((value) => value !== null).length > 1,
);

/** What a person calls a configuration: the named keys, and whatever else differs in this report. */
function labelOf(found, always, never = []) {
  return CELL_KEYS.filter((name) => always.includes(name) || (varied.includes(name) && !never.includes(name)))
    .map((name) => wordOf(name, found[name]))
    .join(" · ");
}

function wordOf(name, value) {
  if (name === "threads") return value === null ? "device’s threads" : `${value} thread${value === 1 ? "" : "s"}`;
  return String(value ?? "not said");
}
