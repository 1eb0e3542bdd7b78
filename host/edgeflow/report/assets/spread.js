// Distributions: every configuration's samples as they are, not one bar of a mean.

const spread = { model: "", device: "", view: "strip" };
const MOST_DOTS = 300; // drawn of a configuration, evenly by rank: the extremes are among them
const MOST_CONFIGURATIONS = 24;

function pooled(cell) {
  return ascending(cell.used.flatMap(samplesMs));
}

function drawSpread(cells) {
  const section = document.getElementById("spread");
  forgetCharts(section);
  const title = h("h2", { id: "spread-title" }, "Distributions");
  if (!cells.length) return section.replaceChildren(title, h("p", { class: "empty" }, "No cell passes the filters."));
  const controls = focusControls(spread, cells, () => drawSpread(cells));
  controls.push(select("Drawn as", [["strip", "samples and box"], ["ecdf", "cumulative share (ECDF)"]], spread.view, (value) => {
    spread.view = value;
    drawSpread(cells);
  }));
  const here = inFocus(spread, cells).map((cell) => ({ cell, ordered: pooled(cell) })).filter((found) => found.ordered.length);
  here.sort((a, b) => quantile(a.ordered, 0.5) - quantile(b.ordered, 0.5));
  const drawn = here.slice(0, MOST_CONFIGURATIONS);
  const words = `Latency samples of ${drawn.length} configurations of ${spread.model} on ${spread.device}, fastest first`;
  return section.replaceChildren(
    title,
    h("p", { class: "soft" }, "Samples of the rounds that a cell’s figure is of. Box: 25 % to 75 % with the median; whiskers: 5 % to 95 %; dots: single inferences."),
    h("div", { class: "controls" }, controls),
    !drawn.length ? h("p", { class: "empty" }, "There are no samples here.")
      : spread.view === "strip" ? chart(words, (width) => stripOptions(drawn, width), { height: 110 + 56 * drawn.length })
        : chart(words, () => ecdfOptions(drawn)),
    here.length > drawn.length ? h("p", { class: "soft small" }, `The ${drawn.length} fastest of ${here.length} configurations are drawn; the table has all.`) : "",
    h("details", null, h("summary", null, "The same as a table"), spreadTable(here)),
  );
}

/** Evenly by rank, the first and the last among them. */
function thinned(ordered, most) {
  if (ordered.length <= most) return Array.from(ordered);
  return Array.from({ length: most }, (_, at) => ordered[Math.round(at * (ordered.length - 1) / (most - 1))]);
}

/** Where a dot lies across its row: the same at every drawing. */
const jitter = (at) => ((at * 0.618034) % 1 - 0.5) * 0.62;

function named(found) {
  const state = found.cell.state === "valid" ? "" : ` (${found.cell.emulated ? "emulated" : found.cell.state})`;
  return `${configuration(found.cell)}${state}`;
}

function latencyAxis(rest) {
  return axis("latency of one inference", { scale: true, ...rest, axisLabel: { color: color("soft"), hideOverlap: true, formatter: (value) => figure(value, "ms") } });
}

function stripOptions(drawn, width) {
  const rows = drawn.map((found) => [0.05, 0.25, 0.5, 0.75, 0.95].map((p) => quantile(found.ordered, p)));
  const least = Math.max(1e-6, Math.min(...drawn.map((found) => found.ordered[0])));
  const most = Math.max(...drawn.map((found) => found.ordered[found.ordered.length - 1]));
  const log = most / least > 30;
  const boxes = {
    type: "custom", data: rows.map((row, at) => [at, ...row]), encode: { x: [1, 5], y: 0 }, z: 3, silent: true,
    renderItem: (_, api) => {
      const at = api.value(0);
      const place = (column, offset) => api.coord([api.value(column), at + offset]);
      const [low, left, middle, right, high] = [1, 2, 3, 4, 5].map((column) => place(column, 0)[0]);
      const [, top] = place(3, 0.3);
      const [, bottom] = place(3, -0.3);
      const centre = (top + bottom) / 2;
      const stroke = { stroke: color("ink"), lineWidth: 1.5, fill: "none" };
      const segment = (x1, y1, x2, y2, lineWidth = 1.5) => ({ type: "line", shape: { x1, y1, x2, y2 }, style: { ...stroke, lineWidth } });
      return { type: "group", children: [
        segment(low, centre, left, centre), segment(right, centre, high, centre), segment(low, centre - 6, low, centre + 6), segment(high, centre - 6, high, centre + 6),
        { type: "rect", shape: { x: left, y: top, width: Math.max(1, right - left), height: bottom - top }, style: stroke },
        segment(middle, top, middle, bottom, 3),
      ] };
    },
  };
  const dots = drawn.map((found, at) => ({
    type: "scatter", symbolSize: 4, itemStyle: { color: runtimeColor(found.cell.runtime), opacity: found.cell.state === "valid" ? 0.55 : 0.25 },
    silent: true, animation: false, data: thinned(found.ordered, MOST_DOTS).map((value, dot) => [value, at + jitter(dot)]),
  }));
  return {
    grid: { left: 8, right: 28, top: 12, bottom: 32, containLabel: true },
    xAxis: latencyAxis({
      ...(log ? { type: "log", min: Number((least * 0.95).toPrecision(2)), max: Number((most * 1.05).toPrecision(2)) } : { type: "value" }),
      axisLine: { onZero: false, lineStyle: { color: color("line") } }, name: `latency of one inference${log ? " (log scale)" : ""}` }),
    yAxis: axis("", {
      type: "value", inverse: true, min: -0.5, max: drawn.length - 0.5, interval: 0.5, splitLine: { show: false }, axisTick: { show: false },
      axisLabel: {
        color: color("ink"), width: width < 600 ? 96 : 220, overflow: "break", lineHeight: 14, fontSize: 12, showMinLabel: false, showMaxLabel: false,
        formatter: (value) => (Number.isInteger(value) && drawn[value] ? named(drawn[value]) : ""),
      },
    }),
    series: [...dots, boxes],
  };
}

function ecdfOptions(drawn) {
  return {
    legend: legend({ data: drawn.map(named) }),
    grid: { left: 16, right: 28, top: 48, bottom: 32, containLabel: true },
    xAxis: latencyAxis({ type: "value" }),
    yAxis: axis("share of inferences", { type: "value", min: 0, max: 100, nameGap: 42, axisLabel: { color: color("soft"), formatter: "{value} %" } }),
    tooltip: tooltip(({ seriesName, value }) => [seriesName, `${significant(value[1], 3)} % take at most ${figure(value[0], "ms")}`]),
    series: drawn.map((found, at) => {
      const values = thinned(found.ordered, MOST_DOTS);
      return {
        type: "line", name: named(found), step: "end", showSymbol: false, symbolSize: 6, triggerLineEvent: true, color: SERIES_COLORS[at % SERIES_COLORS.length],
        lineStyle: { width: 2, type: found.cell.state === "valid" ? (at >= SERIES_COLORS.length ? "dashed" : "solid") : "dotted" },
        data: values.map((value, rank) => [value, 100 * (rank + 1) / values.length]),
      };
    }),
  };
}

const spreadSort = { key: "", direction: "ascending" };

function spreadTable(here) {
  const column = (name, p) => ({
    key: name, name, number: true, value: (found) => quantile(found.ordered, p), cell: (found) => figure(quantile(found.ordered, p), "ms"),
  });
  return sortedTable({
    caption: `Quantiles of the samples of ${spread.model} on ${spread.device}`, rows: here, sort: spreadSort,
    columns: [
      { key: "name", name: "configuration", value: (found) => configuration(found.cell), cell: (found) => h("button", { class: "link", type: "button", onclick: () => openCell(found.cell) }, configuration(found.cell)) },
      { key: "state", name: "validity", value: (found) => STATES.indexOf(found.cell.state), cell: (found) => badge(found.cell.state) },
      { key: "n", name: "samples", number: true, value: (found) => found.ordered.length },
      column("min", 0), column("p5", 0.05), column("p25", 0.25), column("median", 0.5), column("p75", 0.75), column("p95", 0.95), column("p99", 0.99), column("max", 1),
    ],
  });
}
