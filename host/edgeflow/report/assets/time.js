// Sustained runs over time: what heat does to latency, with temperature and frequency where they were sampled.

const BUCKETS = 120;
const overTime = { model: "", device: "" };

/** Median and spread of the latency in equal spans of time: {seconds, median, low, high}. */
function buckets(result) {
  const starts = series(result, "starts_ns");
  const samples = samplesMs(result);
  if (!starts?.length) return [];
  const origin = starts[0];
  const span = Math.max(1, (starts[starts.length - 1] - origin) / BUCKETS);
  const groups = new Map();
  starts.forEach((start, at) => {
    const bucket = Math.min(BUCKETS - 1, Math.floor((start - origin) / span));
    if (!groups.has(bucket)) groups.set(bucket, []);
    groups.get(bucket).push(samples[at]);
  });
  return [...groups.entries()].map(([bucket, values]) => {
    const ordered = ascending(values);
    return { seconds: (bucket + 0.5) * span / 1e9, median: quantile(ordered, 0.5), low: quantile(ordered, 0.1), high: quantile(ordered, 0.9) };
  });
}

/** A sampled quantity as [seconds since the first sample, value], in degrees or MHz; empty where there is none. */
function sampled(result, name, unit) {
  const instants = series(result, `${name}_t_ns`);
  const values = series(result, `${name}_${unit}`);
  const origin = series(result, "starts_ns")?.[0];
  if (!instants || !values || origin === undefined) return [];
  return instants.map((at, index) => [(at - origin) / 1e9, values[index] / 1000]).filter(([seconds]) => seconds >= 0);
}

function timeOptions(runs, nameOf) {
  const temperatures = runs.map((run) => sampled(run, "temperature", "mc"));
  const heat = temperatures.some((found) => found.length);
  const lines = runs.flatMap((run, at) => {
    const points = buckets(run);
    const shade = SERIES_COLORS[at % SERIES_COLORS.length];
    const name = nameOf(run);
    const found = [
      { type: "line", name, showSymbol: false, color: shade, lineStyle: { width: 2 }, z: 3, data: points.map((point) => [point.seconds, point.median]) },
    ];
    if (runs.length <= 4) {
      const edge = { type: "line", stack: `band ${at}`, stackStrategy: "all", symbol: "none", lineStyle: { opacity: 0 }, silent: true, color: shade, animation: false };
      found.push({ ...edge, data: points.map((point) => [point.seconds, point.low]) });
      found.push({ ...edge, areaStyle: { color: shade, opacity: 0.18 }, data: points.map((point) => [point.seconds, point.high - point.low]) });
    }
    if (temperatures[at].length) {
      found.push({ type: "line", name: `${name}: temperature`, yAxisIndex: 1, showSymbol: false, color: shade, lineStyle: { width: 1.5, type: "dashed" }, data: temperatures[at] });
    }
    return found;
  });
  const left = axis("latency", { type: "value", scale: true, nameLocation: "end", nameGap: 10, nameTextStyle: { color: color("soft"), align: "left" }, axisLabel: { color: color("soft"), formatter: (value) => figure(value, "ms") } });
  const right = axis("temperature", { type: "value", scale: true, nameLocation: "end", nameGap: 10, nameTextStyle: { color: color("soft"), align: "right" }, splitLine: { show: false }, axisLabel: { color: color("soft"), formatter: "{value} °C" } });
  return {
    legend: legend({ data: lines.map((line) => line.name).filter(Boolean) }),
    grid: { left: 16, right: heat ? 16 : 28, top: 72, bottom: 32, containLabel: true },
    xAxis: axis("seconds since the first sample", { type: "value", min: 0 }),
    yAxis: heat ? [left, right] : left,
    tooltip: tooltip((found) => [`after ${significant(found[0].value[0], 3)} s`, ...found.filter((one) => !one.seriesName.startsWith("series")).map((one) =>
      `${one.seriesName}: ${one.seriesName.endsWith(": temperature") ? `${significant(one.value[1], 3)} °C` : figure(one.value[1], "ms")}`)], { trigger: "axis" }),
    series: lines,
  };
}

function drawTime(rows) {
  const section = document.getElementById("time");
  section.hidden = !results.some((result) => result.mode === "sustained");
  if (section.hidden) return;
  forgetCharts(section);
  const title = h("h2", { id: "time-title" }, "Sustained runs over time");
  const runs = rows.filter((result) => result.mode === "sustained");
  if (!runs.length) return section.replaceChildren(title, h("p", { class: "empty" }, "No sustained run passes the filters."));
  const controls = focusControls(overTime, runs, () => drawTime(rows));
  const here = inFocus(overTime, runs);
  const nameOf = (run) => `${configuration(run)}${here.some((other) => other.repeat > 1) ? ` round ${run.repeat}` : ""}${stateOf(run) === "valid" ? "" : ` (${stateOf(run)})`}`;
  const drawn = here.slice(0, SERIES_COLORS.length);
  const cool = !here.some((run) => sampled(run, "temperature", "mc").length);
  return section.replaceChildren(
    title,
    h("p", { class: "soft" }, "Median latency in equal spans of time, shaded from 10 % to 90 %; dashed: the hottest CPU zone, where the device tells a temperature."),
    h("div", { class: "controls" }, controls),
    chart(`Latency over time of ${drawn.length} sustained runs of ${overTime.model} on ${overTime.device}`, () => timeOptions(drawn, nameOf)),
    here.length > drawn.length ? h("p", { class: "soft small" }, `The first ${drawn.length} of ${here.length} runs are drawn.`) : "",
    cool ? h("p", { class: "soft small" }, "No temperature was sampled here: the device gives none, or the results are of before it was kept.") : "",
    h("details", null, h("summary", null, "The same as a table"), timeTable(here, nameOf)),
  );
}

const timeSort = { key: "", direction: "ascending" };

function timeTable(runs, nameOf) {
  const third = (run, last) => {
    const samples = samplesMs(run);
    const size = Math.max(1, Math.floor(samples.length / 3));
    return medianOf(last ? samples.slice(-size) : samples.slice(0, size));
  };
  const degrees = (value) => (value === null ? "unknown" : `${significant(value, 3)} °C`);
  const clock = (run) => {
    const found = sampled(run, "frequency", "khz").map(([, value]) => value);
    return found.length ? `${significant(Math.max(...found), 3)} to ${significant(Math.min(...found), 3)} MHz` : "unknown";
  };
  return sortedTable({
    caption: "Sustained runs", rows: runs, sort: timeSort,
    columns: [
      { key: "name", name: "run", value: nameOf, cell: (run) => h("button", { class: "link", type: "button", onclick: () => openResult(run) }, nameOf(run)) },
      { key: "first", name: "first third", number: true, value: (run) => third(run, false), cell: (run) => figure(third(run, false), "ms") },
      { key: "last", name: "last third", number: true, value: (run) => third(run, true), cell: (run) => figure(third(run, true), "ms") },
      { key: "change", name: "change", number: true, value: (run) => third(run, true) / third(run, false) - 1, cell: (run) => `${(100 * (third(run, true) / third(run, false) - 1)).toFixed(1)} %` },
      { key: "start", name: "starts at", number: true, value: (run) => run.temperature_start_c, cell: (run) => degrees(run.temperature_start_c) },
      { key: "max", name: "hottest", number: true, value: (run) => run.temperature_max_c, cell: (run) => degrees(run.temperature_max_c) },
      { key: "clock", name: "CPU frequency", value: clock },
      { key: "throttled", name: "throttled", value: (run) => (run.throttled === null ? "unknown" : run.throttled ? "yes" : "no") },
    ],
  });
}
