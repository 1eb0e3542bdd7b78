// The header (what was measured, when, with what, and what to beware of) and the sections that are plain tables.

function drawHead() {
  const { sweep } = report;
  const states = STATES.map((state) => [state, results.filter((found) => stateOf(found) === state).length]).filter(([, n]) => n);
  const counts = `${results.length}${states.length ? `: ${states.map(([state, n]) => `${n} ${state}`).join(", ")}` : ""}`;
  const names = (column) => {
    const found = distinct(results.map((result) => result[column]));
    return `${found.length}: ${found.slice(0, 8).join(", ")}${found.length > 8 ? ", …" : ""}`;
  };
  const versions = distinct(results.map((found) => `${found.runtime} ${found.runtime_detail?.version ?? ""}`));
  const agents = distinct(results.map((found) => found.agent && `${found.agent.kind} ${found.agent.version}`)).filter(Boolean);
  const title = sweep ? `Sweep ${sweep.name ? `${sweep.name} (${sweep.id})` : sweep.id}` : `edgeflow: ${report.name}`;
  const plan = sweep?.plan && h("details", null, h("summary", null, "The plan"), h("pre", null, JSON.stringify(sweep.plan, null, 1)));
  document.getElementById("head").append(
    h("h1", null, title),
    sweep?.plan?.description ? h("p", null, sweep.plan.description) : "",
    facts([
      ["Measured", report.period ? distinct(report.period.map((text) => instant(text))).join(" to ") : "nothing"],
      ["Results", counts],
      ["Jobs", sweep && `${sweep.counts.ok} ok, ${sweep.counts.failed} failed, ${sweep.counts.pending} not run (${sweep.status})`],
      ["Models", names("model")],
      ["Devices", names("device")],
      ["Runtimes", versions.join(", ")],
      ["Agents", agents.join(", ")],
      ["Plan", sweep && [sweep.file?.path ?? "from flags", ` (${sweep.file?.digest})`].join("")],
      ["Made by", `edgeflow ${report.edgeflow}, ${instant(report.made_at)}`],
    ]),
    report.warnings.length
      ? h("ul", { class: "warnings", "aria-label": "Warnings" }, report.warnings.map((text) => h("li", null, text))) : "",
    plan ?? "",
  );
  document.title = title;
}

function drawContents() {
  const sections = [...document.querySelectorAll("main > section")].filter((section) => !section.hidden);
  document.getElementById("contents").append(h("ul", null, sections.map((section) => h(
    "li", null, h("a", { href: `#${section.id}` }, section.querySelector("h2").textContent),
  ))));
}

const sorts = { runs: { key: "", direction: "ascending" }, missing: { key: "", direction: "ascending" } };

function stateBadges(result) {
  const badges = [badge(stateOf(result))];
  if (result.emulated) badges.push(" ", badge("emulated"));
  return h("span", { title: (result.reasons ?? []).join("; ") || null }, badges);
}

function doubtful(result, text) {
  const state = stateOf(result);
  return state === "valid" ? text : h("span", { class: state === "invalid" ? "invalid-figure" : "doubtful" }, text);
}

/** Columns of CELL_KEYS that differ among rows, for tables; model and device always. */
function keyColumns(always = ["model", "device", "runtime"]) {
  return CELL_KEYS.filter((name) => always.includes(name) || varied.includes(name))
    .map((name) => ({ key: name, name, long: name === "model", value: (row) => row[name], cell: (row) => (name === "threads" && row[name] === null ? "device’s" : String(row[name] ?? "")) }));
}

function metricColumn(key, name) {
  const metric = METRICS[key];
  return { key, name: name ?? metric.name, number: true, value: metric.of, cell: (row) => doubtful(row, figure(metric.of(row), metric.unit)) };
}

function runsTable(rows, sort, caption, columns = keyColumns()) {
  const repeated = rows.some((row) => row.repeat > 1);
  return sortedTable({
    caption, rows, sort, tall: rows.length > 12,
    columns: [
      { key: "id", name: "result", value: (row) => row.id, cell: (row) => h("button", { class: "link", type: "button", onclick: () => openResult(row) }, row.id) },
      ...columns,
      ...(repeated ? [{ key: "repeat", name: "round", number: true, value: (row) => row.repeat }] : []),
      { key: "state", name: "validity", value: (row) => STATES.indexOf(stateOf(row)), cell: stateBadges },
      metricColumn("median_ms", "median"),
      { key: "ci", name: "95 % interval", number: true, value: (row) => row.ci_low_ms,
        cell: (row) => (row.ci_low_ms === null ? "too few samples" : doubtful(row, `${figure(row.ci_low_ms, "ms")} – ${figure(row.ci_high_ms, "ms")}`)) },
      metricColumn("p95_ms", "p95"),
      { key: "n", name: "samples", number: true, value: (row) => row.n },
      metricColumn("peak_rss_bytes", "peak RSS"),
      metricColumn("artifact_bytes", "artifact"),
      metricColumn("energy_mj", "energy"),
      metricColumn("rel_err_max", "rel. error"),
      { key: "at", name: "measured", value: (row) => row.started_at, cell: (row) => instant(row.started_at) },
    ],
  });
}

function drawRuns(rows) {
  document.getElementById("runs").replaceChildren(
    h("h2", { id: "runs-title" }, "Runs"),
    h("p", { class: "soft" }, "Every result. Its id opens all that is known of it: samples, conditions, versions, and the command that repeats it."),
    runsTable(rows, sorts.runs, "Every result"),
  );
}

function drawMissing(rows) {
  const section = document.getElementById("missing");
  section.hidden = !report.missing.length;
  if (section.hidden) return;
  section.replaceChildren(
    h("h2", { id: "missing-title" }, "Not measured"),
    h("p", { class: "soft" }, "Jobs that failed or have not run, and cells that were left out before anything ran, each with its reason."),
    sortedTable({
      caption: "What was not measured, and why", rows, sort: sorts.missing, tall: rows.length > 12,
      columns: [
        { key: "state", name: "state", value: (row) => row.state, cell: (row) => badge(row.state) },
        ...keyColumns(),
        ...(rows.some((row) => row.repeat > 1) ? [{ key: "repeat", name: "round", number: true, value: (row) => row.repeat }] : []),
        { key: "kind", name: "kind", value: (row) => row.kind },
        { key: "reason", name: "reason", value: (row) => row.reason, long: true },
        { key: "hint", name: "what to do", value: (row) => row.hint, long: true },
        { key: "attempts", name: "attempts", number: true, value: (row) => row.attempts },
      ],
    }),
  );
}

/** What a device told of itself, in the words of `edgeflow devices facts`. */
function factsList(found) {
  const clusters = (found.clusters ?? []).map((cluster) =>
    `${cluster.cores.length} × ${cluster.part || "core"}${cluster.max_mhz ? ` up to ${cluster.max_mhz} MHz` : ""}`);
  const libc = found.libc ? `${found.libc} ${found.libc_version ?? ""}` : null;
  return facts([
    ["Model", found.model], ["SoC", found.soc], ["System", `${found.os ?? ""} ${found.os_version ?? ""}`.trim()],
    ["Kernel", found.kernel], ["Architecture", found.arch], ["ABIs", (found.abis ?? []).join(", ")],
    ["CPU", clusters.join("; ") || (found.cores && `${found.cores} cores`)], ["Memory", found.memory_bytes && figure(found.memory_bytes, "bytes")],
    ["C library", libc], ["Android API", found.api_level], ["Emulated", found.emulated ? "yes: its times prove nothing" : null],
    ["Virtual machine", found.hypervisor], ["Thermal zones", Object.values(found.thermal_zones ?? {}).join(", ")],
    ["Power sources", (found.power_sources ?? []).join(", ")],
  ]);
}

function drawDevices(rows) {
  const items = distinct(rows.map((row) => row.device)).sort().map((device) => {
    const of = rows.filter((row) => row.device === device);
    const newest = of[of.length - 1];
    const told = distinct(of.map((row) => row.facts)).length;
    const agents = distinct(of.map((row) => row.agent && `${row.agent.kind} ${row.agent.version}, build ${row.agent.build}`)).filter(Boolean);
    const runtimes = distinct(of.map((row) => `${row.runtime} ${row.runtime_detail?.version ?? ""}`));
    return h("details", null,
      h("summary", null, `${device} · ${newest.facts?.model ?? "no facts"} · ${newest.transport}`, newest.emulated ? [" ", badge("emulated")] : null),
      facts([["Agents", agents.join("; ")], ["Runtimes", runtimes.join(", ")]]),
      told > 1 ? h("p", { class: "soft small" }, `It told ${told} sets of facts over time; these are the newest, each result has its own.`) : null,
      factsList(newest.facts ?? {}));
  });
  document.getElementById("devices").replaceChildren(
    h("h2", { id: "devices-title" }, "Devices and versions"), ...(items.length ? items : [h("p", { class: "empty" }, "No device passes the filters.")]),
  );
}

function drawFoot() {
  document.getElementById("foot").append(
    h("h2", null, "How to read it"),
    h("p", null, "A latency is the median of single inferences on the device, with its distribution-free 95 % interval. A cell’s figure is the ",
      "median over the valid rounds of its newest measurement; where no round is valid, of the suspect ones, and so it is marked. “Best” is the ",
      "smallest figure of a model on a device among valid cells. Intervals speak of one run: compare repeated measurements, never two intervals."),
    h("p", null, "Disagreement is that of the device’s outputs with ONNX Runtime’s for the source model, over the gate’s inputs. It is no accuracy on a data set."),
    h("p", { class: "small soft" }, "All data, raw samples included, is in this file; nothing is loaded from a network. Charts: Apache ECharts, ",
      "© The Apache Software Foundation, Apache License 2.0; its licence header is in this file."),
  );
}
