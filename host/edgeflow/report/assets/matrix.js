// Models x devices: a row for each configuration of a model, a column for each runtime on each device.

const matrixSort = { key: "", direction: "ascending" };
let matrixMetric = "median_ms";

/** The smallest figure among valid cells of each model on each device: key -> value. */
function bestOf(cells, metric) {
  const best = new Map();
  for (const cell of cells) {
    const value = cell.figures[metric];
    if (cell.state !== "valid" || value === null) continue;
    const key = JSON.stringify([cell.model, cell.device]);
    if (!best.has(key) || value < best.get(key)) best.set(key, value);
  }
  return best;
}

/** Why there is no figure, where it is known. */
function gap(found) {
  if (!found) return h("span", { class: "soft" }, h("span", { class: "hidden" }, "not planned"), "–");
  const words = [found.kind, found.reason].filter(Boolean).join(": ");
  return h("span", { title: words }, badge(found.state), h("span", { class: "hidden" }, `: ${words}`));
}

function matrixCell(cell, metric, best) {
  const { unit } = METRICS[metric];
  const value = cell.figures[metric];
  const least = best.get(JSON.stringify([cell.model, cell.device]));
  const isBest = cell.state === "valid" && value !== null && value === least;
  const style = cell.state === "invalid" ? "value invalid-figure" : cell.state === "suspect" ? "value doubtful" : "value";
  const rounds = cell.current.length;
  const doubts = cell.used.length < rounds ? `${cell.used.length} of ${rounds} rounds ${cell.state}` : null;
  const ratio = cell.state === "valid" && !isBest && value !== null && least > 0 ? `${significant(value / least, 3)} × the best` : null;
  return h("td", { class: isBest ? "best" : null }, h(
    "button", { class: "cell", type: "button", onclick: () => openCell(cell) },
    h("span", { class: style }, figure(value, unit)),
    isBest ? [" ", badge("best", "★ best")] : null,
    cell.state === "valid" ? null : [" ", badge(cell.state)],
    cell.emulated ? [" ", badge("emulated")] : null,
    ratio ? h("span", { class: "ratio" }, ratio) : null,
    doubts ? h("span", { class: "ratio" }, doubts) : null,
  ));
}

function drawMatrix(cells, missing) {
  const section = document.getElementById("matrix");
  const holder = h("div");
  const redraw = () => replaceKeepingFocus(holder, () => matrixTable(cells, missing, redraw));
  section.replaceChildren(
    h("h2", { id: "matrix-title" }, "Models × devices"),
    h("p", { class: "soft" }, "★ marks the best of each model on each device among valid measurements. Suspect, invalid and emulated figures are marked and never best. A cell opens what is behind it."),
    h("div", { class: "controls" }, select("Figure", Object.entries(METRICS).map(([key, metric]) => [key, metric.name]), matrixMetric, (value) => {
      matrixMetric = value;
      redraw();
    })),
    holder,
  );
  holder.append(...[matrixTable(cells, missing, redraw)].flat());
}

function matrixTable(cells, missing, redraw) {
  const metric = matrixMetric;
  const all = [...cells, ...missing];
  if (!all.length) return h("p", { class: "empty" }, "No cell passes the filters.");
  const rowNames = CELL_KEYS.filter((name) => ["model", "precision"].includes(name) || (varied.includes(name) && name !== "device" && name !== "runtime"));
  const rowKey = (found) => JSON.stringify(rowNames.map((name) => found[name] ?? null));
  const columnKey = (found) => JSON.stringify([found.device, found.runtime]);
  const rows = new Map();
  const columns = new Map();
  for (const found of all) {
    if (!rows.has(rowKey(found))) rows.set(rowKey(found), { found, cells: new Map(), gaps: new Map() });
    rows.get(rowKey(found))[found.figures ? "cells" : "gaps"].set(columnKey(found), found);
    columns.set(columnKey(found), found);
  }
  const emulated = new Set(cells.filter((cell) => cell.emulated).map((cell) => cell.device)); // these come last
  const ordered = [...columns.entries()].sort(([, a], [, b]) => emulated.has(a.device) - emulated.has(b.device) || compareValues(a.device, b.device) || compareValues(a.runtime, b.runtime));
  const devices = distinct(ordered.map(([, found]) => found.device));
  const best = bestOf(cells, metric);
  const name = (row) => labelOf(row.found, ["model", "precision"], ["device", "runtime"]);
  const value = (row) => (matrixSort.key === "name" ? name(row) : row.cells.get(matrixSort.key)?.figures[metric]);
  const sorted = [...rows.values()];
  if (matrixSort.key) sorted.sort((a, b) => compareValues(value(a), value(b), matrixSort.direction));
  const head = [
    h("tr", null,
      sortable("name", "model", matrixSort, redraw, { rowspan: 2 }),
      devices.map((device) => h("th", { class: "device", scope: "colgroup", colspan: ordered.filter(([, found]) => found.device === device).length }, device))),
    h("tr", null, ordered.map(([key, found]) => sortable(key, found.runtime, matrixSort, redraw))),
  ];
  const body = sorted.map((row) => h("tr", null,
    h("th", { scope: "row" }, name(row)),
    ordered.map(([key]) => (row.cells.has(key) ? matrixCell(row.cells.get(key), metric, best) : h("td", null, gap(row.gaps.get(key)))))));
  const note = METRICS[metric].note;
  return [
    h("div", { class: "scroll tall", tabindex: "0", role: "region", "aria-label": "Matrix of models and devices" },
      h("table", { class: "matrix" },
        h("caption", { class: "hidden" }, `${METRICS[metric].name} by model and device; less is better`),
        h("thead", null, head), h("tbody", null, body))),
    note ? h("p", { class: "soft small" }, `${METRICS[metric].name}: ${note}.`) : "",
  ];
}
