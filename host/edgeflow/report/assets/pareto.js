// What one gives up for what: each configuration of a model on a device, by two figures that the reader picks.

const pareto = { x: "median_ms", y: "rel_err_max", model: "", device: "" };

/** Those of which no other is at least as good in both figures and better in one. Less is better. */
function frontOf(points) {
  const ordered = [...points].sort((a, b) => a.x - b.x || a.y - b.y);
  const front = [];
  let least = Infinity;
  for (const point of ordered) {
    if (point.y < least) {
      front.push(point);
      least = point.y;
    }
  }
  return front;
}

/** The model and device to look at closely: what the filters say, else what was picked, else the first. */
function focusOn(focus, cells) {
  const models = distinct(cells.map((cell) => cell.model));
  if (!models.includes(focus.model)) [focus.model] = models;
  const devices = distinct(cells.filter((cell) => cell.model === focus.model).map((cell) => cell.device));
  if (!devices.includes(focus.device)) [focus.device] = devices;
  return { models, devices };
}

function focusControls(focus, cells, redraw) {
  const { models, devices } = focusOn(focus, cells);
  return [
    select("Model", models.map((name) => [name, name]), focus.model, (value) => { focus.model = value; redraw(); }),
    select("Device", devices.map((name) => [name, name]), focus.device, (value) => { focus.device = value; redraw(); }),
  ];
}

const inFocus = (focus, cells) => cells.filter((cell) => cell.model === focus.model && cell.device === focus.device);

/** What figures of `metric` there are to choose from, among some cells. */
function offered(cells) {
  return Object.entries(METRICS).filter(([key]) => cells.some((cell) => cell.figures[key] !== null)).map(([key, metric]) => [key, metric.name]);
}

function drawPareto(cells) {
  const section = document.getElementById("pareto");
  forgetCharts(section);
  const title = h("h2", { id: "pareto-title" }, "Trade-offs (Pareto)");
  if (!cells.length) return section.replaceChildren(title, h("p", { class: "empty" }, "No cell passes the filters."));
  const controls = focusControls(pareto, cells, () => drawPareto(cells));
  const here = inFocus(pareto, cells);
  const choices = offered(here);
  for (const side of ["x", "y"]) {
    controls.push(select(`${side === "x" ? "Across" : "Up"} (less is better)`, choices, pareto[side], (value) => {
      pareto[side] = value;
      drawPareto(cells);
    }));
    if (!choices.some(([key]) => key === pareto[side])) pareto[side] = choices[0]?.[0] ?? pareto[side];
  }
  const points = here.map((cell) => ({ cell, x: cell.figures[pareto.x], y: cell.figures[pareto.y] })).filter((point) => point.x !== null && point.y !== null);
  const front = frontOf(points.filter((point) => point.cell.state === "valid"));
  const without = Object.entries(METRICS).filter(([key]) => !choices.some(([found]) => found === key)).map(([, metric]) => metric.name);
  const notes = [METRICS[pareto.x], METRICS[pareto.y]].filter((metric) => metric.note).map((metric) => `${metric.name}: ${metric.note}.`);
  return section.replaceChildren(
    title,
    h("p", { class: "soft" }, "Lower left is better. Ringed marks are the front: nothing valid is better in both figures. Hollow, dashed marks are not valid and cannot be on it."),
    h("div", { class: "controls" }, controls),
    points.length ? chart(paretoWords(points, front), () => paretoOptions(points, front)) : h("p", { class: "empty" }, "These two figures are not known here."),
    h("p", null, h("strong", null, "On the front: "), front.map((point) => configuration(point.cell)).join("; ") || "nothing valid"),
    h("p", { class: "soft small" }, [...notes, without.length ? `Not measured here: ${without.join(", ")}.` : ""].filter(Boolean).join(" ")),
    h("details", null, h("summary", null, "The same as a table"), paretoTable(points, front)),
  );
}

function paretoWords(points, front) {
  const names = front.map((point) => configuration(point.cell)).join(", ");
  return `Scatter of ${METRICS[pareto.y].name} against ${METRICS[pareto.x].name} for ${points.length} configurations of ${pareto.model} on ${pareto.device}; on the front: ${names || "none"}`;
}

const configuration = (cell) => labelOf(cell, ["runtime", "precision"], ["model", "device"]);

/** Bytes are drawn in MiB, so that ticks are round. */
const drawnAs = (metric, value) => (metric.unit === "bytes" ? value / 2 ** 20 : value);

function paretoAxis(metric, values, rest) {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const log = least > 0 && most / least > 30;
  return axis(`${metric.name}${log ? " (log scale)" : ""}`, {
    type: log ? "log" : "value", scale: true, boundaryGap: ["6%", "8%"], ...rest,
    axisLabel: {
      color: color("soft"), hideOverlap: true,
      formatter: (value) => (metric.unit === "bytes" ? `${significant(value, 3)} MiB` : figure(value, metric.unit)),
    },
  });
}

function paretoOptions(points, front) {
  const [across, up] = [METRICS[pareto.x], METRICS[pareto.y]];
  const runtimes = distinct(points.map((point) => point.cell.runtime));
  const precisions = distinct(points.map((point) => point.cell.precision));
  const place = (point) => [drawnAs(across, point.x), drawnAs(up, point.y)];
  const scatter = runtimes.map((runtime) => ({
    type: "scatter", name: runtime, symbolSize: 13, z: 3, color: runtimeColor(runtime),
    labelLayout: { hideOverlap: true },
    data: points.filter((point) => point.cell.runtime === runtime).map((point) => {
      const hollow = point.cell.state !== "valid";
      const onFront = front.includes(point) ? { borderColor: color("ink"), borderWidth: 2.5 } : undefined;
      return {
        value: place(point), point, symbol: SYMBOLS[precisions.indexOf(point.cell.precision) % SYMBOLS.length],
        itemStyle: hollow ? { color: "transparent", borderColor: runtimeColor(runtime), borderWidth: 2, borderType: "dashed" } : onFront,
        label: { show: true, position: "top", color: color("ink"), backgroundColor: color("paper"), padding: [1, 3], fontSize: 11, formatter: () => `${configuration(point.cell)}${hollow ? ` (${point.cell.state})` : ""}` },
      };
    }),
  }));
  const line = {
    type: "line", name: "front", data: front.map(place), step: "end", symbol: "none", silent: true, z: 1,
    lineStyle: { color: color("good"), width: 2, type: "dashed" }, itemStyle: { color: color("good") },
  };
  return {
    legend: legend({ data: [...runtimes, ...(front.length > 1 ? ["front"] : [])] }),
    grid: { left: 16, right: 36, top: 48, bottom: 28, containLabel: true },
    xAxis: paretoAxis(across, points.map((point) => place(point)[0]), {}),
    yAxis: paretoAxis(up, points.map((point) => place(point)[1]), { nameLocation: "end", nameGap: 10, nameTextStyle: { color: color("soft"), align: "left" } }),
    tooltip: tooltip(({ data }) => data?.point ? [
      configuration(data.point.cell), `${across.name}: ${figure(data.point.x, across.unit)}`, `${up.name}: ${figure(data.point.y, up.unit)}`,
      `${data.point.cell.state}${front.includes(data.point) ? ", on the front" : ""}`, ...data.point.cell.reasons,
    ] : []),
    series: [line, ...scatter],
  };
}

const paretoSort = { key: "", direction: "ascending" };

function paretoTable(points, front) {
  const value = (side) => ({
    key: side, name: METRICS[pareto[side]].name, number: true, value: (point) => point[side], cell: (point) => figure(point[side], METRICS[pareto[side]].unit),
  });
  return sortedTable({
    caption: `${METRICS[pareto.y].name} against ${METRICS[pareto.x].name}`, rows: points, sort: paretoSort,
    columns: [
      { key: "name", name: "configuration", value: (point) => configuration(point.cell), cell: (point) => h("button", { class: "link", type: "button", onclick: () => openCell(point.cell) }, configuration(point.cell)) },
      value("x"), value("y"),
      { key: "front", name: "on the front", value: (point) => (front.includes(point) ? "yes" : "no") },
      { key: "state", name: "validity", value: (point) => STATES.indexOf(point.cell.state), cell: (point) => badge(point.cell.state) },
    ],
  });
}
