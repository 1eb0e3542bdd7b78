// Behind a figure: a cell with its rounds and history, and a result with everything that is known of it.

const detail = document.getElementById("detail");
let opener = null; // what the keyboard goes back to

function showDetail(title, ...content) {
  forgetCharts(detail);
  const close = h("button", { type: "button", onclick: () => detail.close() }, "Close");
  detail.replaceChildren(h("div", { class: "dialog-head" }, h("h2", { id: "detail-title" }, title), close), ...content.filter(Boolean));
  if (!detail.open) {
    opener = document.activeElement;
    detail.showModal();
  }
  detail.scrollTop = 0;
  close.focus();
}

detail.addEventListener("close", () => {
  forgetCharts(detail);
  detail.replaceChildren();
  if (location.hash.startsWith("#result=")) history.replaceState(null, "", location.pathname + location.search);
  if (opener?.isConnected) opener.focus();
});
detail.addEventListener("click", (event) => {
  if (event.target === detail) detail.close();
});

function openCell(cell) {
  if (cell.rounds.length === 1) return openResult(cell.rounds[0]);
  const old = cell.rounds.filter((found) => !cell.current.includes(found));
  const sort = { key: "", direction: "ascending" };
  return showDetail(
    labelOf(cell, ["model", "device", "runtime", "precision"]),
    h("p", null, badge(cell.state), " ", `Median of the medians of ${cell.used.length} of ${cell.current.length} round${cell.current.length === 1 ? "" : "s"}: ${figure(cell.figures.median_ms, "ms")}.`),
    reasonsList(cell.reasons),
    h("h3", null, old.length ? "Over time" : "Rounds"),
    roundsChart(cell),
    old.length ? h("p", { class: "soft small" }, `${old.length} earlier result${old.length === 1 ? " is" : "s are"} of other sweeps or deploys; the cell’s figure is of the newest measurement alone.`) : null,
    runsTable(cell.rounds, sort, "Results of this cell, the oldest first", [
      { key: "sweep", name: "sweep", value: (row) => row.sweep ?? "" },
      { key: "version", name: "runtime version", value: (row) => row.runtime_detail?.version ?? "" },
      { key: "agent", name: "agent", value: (row) => (row.agent ? `${row.agent.kind} ${row.agent.version}` : "") },
    ]),
  );
}

function reasonsList(reasons) {
  return reasons?.length ? h("ul", { class: "warnings" }, reasons.map((reason) => h("li", null, reason))) : null;
}

/** Medians with their intervals, in the order in which they were measured. */
function roundsChart(cell) {
  const rounds = cell.rounds.slice(-60);
  const words = `Medians of ${rounds.length} results, the oldest first, with their 95 % intervals`;
  return chart(words, () => ({
    grid: { left: 16, right: 24, top: 16, bottom: 40, containLabel: true },
    xAxis: axis("", { type: "category", data: rounds.map((round, at) => `${at + 1}`), axisLabel: { color: color("soft") }, name: "result, by time" }),
    yAxis: axis("", { type: "value", scale: true, axisLabel: { color: color("soft"), formatter: (value) => figure(value, "ms") } }),
    tooltip: tooltip(({ dataIndex }) => {
      const round = rounds[dataIndex];
      return round ? [round.id, instant(round.started_at), `median ${figure(round.median_ms, "ms")}`, `${round.runtime} ${round.runtime_detail?.version ?? ""}`, stateOf(round)] : [];
    }),
    series: [
      {
        type: "line", silent: true, symbol: "none", lineStyle: { opacity: 0 }, data: rounds.map((round) => round.ci_low_ms ?? round.median_ms), // for the axis
      },
      { type: "line", silent: true, symbol: "none", lineStyle: { opacity: 0 }, data: rounds.map((round) => round.ci_high_ms ?? round.median_ms) },
      {
        type: "custom", silent: true, data: rounds.map((round, at) => [at, round.ci_low_ms ?? round.median_ms, round.ci_high_ms ?? round.median_ms]), encode: { x: 0, y: [1, 2] },
        renderItem: (_, api) => {
          const [x, low] = api.coord([api.value(0), api.value(1)]);
          const [, high] = api.coord([api.value(0), api.value(2)]);
          return { type: "line", shape: { x1: x, y1: low, x2: x, y2: high }, style: { stroke: color("soft"), lineWidth: 2 } };
        },
      },
      { type: "scatter", symbolSize: 9, data: rounds.map((round) => ({ value: round.median_ms, itemStyle: { color: stateOf(round) === "valid" ? SERIES_COLORS[0] : "transparent", borderColor: SERIES_COLORS[0], borderWidth: 2 } })) },
    ],
  }), { low: true });
}

function openResult(result) {
  history.replaceState(null, "", `#result=${result.id}`);
  const samples = series(result, "samples_ns") ?? [];
  const every = everyOf(result);
  const interval = result.ci_low_ms === null ? "too few samples for an interval" : `95 % interval ${figure(result.ci_low_ms, "ms")} to ${figure(result.ci_high_ms, "ms")}`;
  const energy = result.energy_detail ?? {};
  const energyText = result.energy_mj === null ? `not measurable: ${energy.reason ?? "no reason is known"}`
    : `${figure(result.energy_mj, "mJ")} ± ${figure(result.energy_uncertainty_mj, "mJ")} (${energy.source ?? "?"})`;
  const precision = result.precision_detail ?? {};
  const percent = (value) => (value === null || value === undefined ? null : `${(100 * value).toFixed(1)} %`);
  const degrees = [result.temperature_start_c, result.temperature_end_c, result.temperature_max_c];
  showDetail(
    labelOf(result, ["model", "device", "runtime", "precision"]),
    h("p", null, stateBadges(result), " ", h("span", { class: stateOf(result) === "invalid" ? "invalid-figure" : null }, `median ${figure(result.median_ms, "ms")}`), `, ${interval}, ${result.n} samples. Result `, h("code", null, result.id), "."),
    reasonsList(result.reasons),
    result.notes?.length ? h("details", null, h("summary", null, "Notes on the measurement"), h("ul", null, result.notes.map((note) => h("li", null, note)))) : null,
    h("h3", null, "Samples in the order in which they were taken"),
    samples.length ? traceChart(result, samples, every) : h("p", { class: "empty" }, "This result has no raw samples."),
    every > 1 ? h("p", { class: "soft small" }, `A long run: one of ${every} samples is in this file.`) : null,
    rawSamples(result, samples, every),
    h("h3", null, "Figures"),
    facts([
      ["Min", figure(result.min_ms, "ms")], ["p90", figure(result.p90_ms, "ms")], ["p95", figure(result.p95_ms, "ms")], ["p99", figure(result.p99_ms, "ms")],
      ["Max", figure(result.max_ms, "ms")], ["MAD", figure(result.mad_ms, "ms")], ["Load", figure(result.init_ms, "ms")], ["First inference", figure(result.first_ms, "ms")],
      ["Peak RSS", figure(result.peak_rss_bytes, "bytes")], ["Of it the model’s", figure(result.model_rss_bytes, "bytes")],
      ["Artifact", figure(result.artifact_bytes, "bytes")], ["Energy", energyText], ["Sampling ended by", result.stop],
    ]),
    h("h3", null, "Conditions"),
    facts([
      ["Free memory before", result.memory_available_bytes && figure(result.memory_available_bytes, "bytes")],
      ["Other load", percent(result.other_load) ?? "unknown"],
      ["Temperature, start, end, hottest", degrees.every((value) => value === null) ? "unknown" : degrees.map((value) => (value === null ? "?" : `${value.toFixed(1)} °C`)).join(", ")],
      ["Throttled", result.throttled === null ? "unknown" : result.throttled ? "yes" : "no"],
      ["CPU frequency, median", Object.entries(result.frequency ?? {}).map(([cpu, found]) => `${cpu}: ${significant(found.median, 4)} MHz`).join(", ") || "unknown"],
    ]),
    h("h3", null, "Agreement with ONNX Runtime fp32"),
    facts([["Verdict", result.numerics], ["Worst cosine", result.cosine_min], ["Worst relative error", result.rel_err_max], ["Answer to a real input", answerText(result.answer)]]),
    jsonDetails("By output, with the tolerances", { outputs: result.outputs, tolerance: result.tolerance }),
    h("h3", null, "What was measured"),
    facts([
      ["Measured", instant(result.started_at)], ["Model", result.model], ["Model’s SHA-256", h("code", null, result.model_detail?.sha256 ?? "unknown")],
      ["Runtime", `${result.runtime} ${result.runtime_detail?.version ?? ""}`], ["Precision", `${precision.name}: weights ${precision.weights}, compute ${precision.compute}`],
      ["Accelerator", result.accelerator], ["Threads", result.threads], ["Mode", result.mode],
      ["Agent", result.agent && `${result.agent.kind} ${result.agent.version}, build ${result.agent.build}`], ["Sweep", result.sweep && `${result.sweep}, round ${result.repeat}`],
    ]),
    jsonDetails("Runtime, artifact and energy in full", { runtime: result.runtime_detail, artifact: result.artifact, energy: result.energy_detail, agent: result.agent }),
    h("details", null, h("summary", null, `The device: ${result.device}`), factsList(result.facts ?? {})),
    h("h3", null, "To repeat it"),
    result.command_0 ? h("pre", { class: "command" }, `${result.command_0} ${result.command_1} ${result.command_2}`) : h("p", { class: "soft" }, "The file of its model is not known: this result is of before edgeflow kept it."),
    h("p", { class: "soft small" }, "Its whole document, on the machine that measured it: ", h("code", null, `edgeflow results show ${result.id} --json`)),
  );
}

function answerText(answer) {
  if (!answer) return null;
  const expected = answer.expected === null || answer.expected === undefined ? "" : answer.expected === answer.label ? ", right" : `, but its label is ${answer.expected}`;
  return `${answer.label}${expected}`;
}

function jsonDetails(title, value) {
  return h("details", null, h("summary", null, title), h("pre", null, JSON.stringify(value, null, 1)));
}

const MOST_TRACE_DOTS = 2000;

function traceChart(result, samples, every) {
  if (result.mode === "sustained") return chart(`Latency over time of result ${result.id}`, () => timeOptions([result], () => "latency"), {});
  const step = Math.ceil(samples.length / MOST_TRACE_DOTS);
  const data = samples.map((value, at) => [at * every + 1, value / 1e6]).filter((_, at) => at % step === 0);
  const line = (value, name, position) => ({ yAxis: value, label: { formatter: name, position, color: color("ink") }, lineStyle: { color: color("ink"), type: "dashed" } });
  return chart(`${samples.length} samples of result ${result.id} in the order in which they were taken${step > 1 ? `, one of ${step} is drawn` : ""}`, () => ({
    grid: { left: 16, right: 24, top: 16, bottom: 32, containLabel: true },
    xAxis: axis("sample", { type: "value", min: 0 }),
    yAxis: axis("", { type: "value", scale: true, axisLabel: { color: color("soft"), formatter: (value) => figure(value, "ms") } }),
    tooltip: tooltip(({ value }) => (value ? [`sample ${value[0]}`, figure(value[1], "ms")] : [])),
    series: [{
      type: "scatter", symbolSize: 5, itemStyle: { opacity: 0.7 }, animation: false, data,
      markLine: { silent: true, symbol: "none", animation: false, data: [line(result.median_ms, "median", "insideEndTop"), line(result.p95_ms, "p95", "insideStartTop")] },
    }],
  }), { low: true });
}

/** Every sample in the file, in nanoseconds, as text that can be copied. */
function rawSamples(result, samples, every) {
  if (!samples.length) return null;
  const held = h("div");
  const said = h("output", { "aria-live": "polite" });
  const text = () => samples.join("\n");
  const details = h("details", {
    ontoggle: () => {
      if (!details.open || held.childElementCount) return;
      const copy = h("button", {
        type: "button",
        onclick: () => navigator.clipboard.writeText(text()).then(() => { said.value = "copied"; }, () => { said.value = "the browser does not allow it: select the text"; }),
      }, "Copy");
      const file = h("a", { download: `${result.id}-samples.csv`, href: `data:text/csv,${encodeURIComponent(`samples_ns\n${text()}\n`)}` }, "Save as CSV");
      held.append(h("p", { class: "controls" }, copy, file, said), h("pre", { tabindex: "0", class: "samples" }, samples.join(" ")));
    },
  }, h("summary", null, `Raw samples: ${samples.length}${every > 1 ? ` of ${result.n}` : ""}, in ns`), held);
  return details;
}
