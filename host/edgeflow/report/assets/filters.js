// What of the report is looked at: five choices and words, over results, cells and what was not measured.

const chosen = { model: "", device: "", runtime: "", precision: "", state: "", words: "" };

/** Everything of a result or a missing cell that words may find. */
function haystack(found) {
  const parts = CELL_KEYS.map((name) => wordOf(name, found[name]));
  parts.push(found.id, found.facts?.model, found.facts?.soc, found.facts?.os, found.runtime_detail?.version, found.agent?.kind);
  parts.push(found.state, found.kind, found.reason, found.hint, ...(found.reasons ?? []));
  return parts.filter(Boolean).join(" ").toLowerCase();
}
const haystacks = new Map();

function matches(found, state) {
  for (const name of ["model", "device", "runtime", "precision"]) {
    if (chosen[name] && found[name] !== chosen[name]) return false;
  }
  if (chosen.state === "emulated" ? !found.emulated : chosen.state && state !== chosen.state) return false;
  if (!chosen.words.trim()) return true;
  if (!haystacks.has(found)) haystacks.set(found, haystack(found));
  const text = haystacks.get(found);
  return chosen.words.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

/** What passes the filters. */
const filtered = {
  results: () => results.filter((found) => matches(found, stateOf(found))),
  missing: () => report.missing.filter((found) => matches(found, found.state)),
};

function drawFilters(redraw) {
  const form = document.getElementById("filters");
  const all = [...results, ...report.missing];
  const boxes = [["model", "Model"], ["device", "Device"], ["runtime", "Runtime"], ["precision", "Precision"]].map(([name, label]) =>
    select(label, [["", "all"], ...distinct(all.map((found) => found[name])).sort().map((value) => [value, value])], chosen[name], (value) => {
      chosen[name] = value;
      redraw();
    }));
  const states = distinct([...results.map(stateOf), ...report.missing.map((found) => found.state)]);
  if (results.some((found) => found.emulated)) states.push("emulated");
  boxes.push(select("Validity", [["", "all"], ...states.map((value) => [value, value])], chosen.state, (value) => {
    chosen.state = value;
    redraw();
  }));
  const words = h("input", {
    type: "search", autocomplete: "off", spellcheck: "false", placeholder: "e.g. cortex fp16",
    oninput: () => { chosen.words = words.value; redraw(); },
  });
  const reset = h("button", {
    type: "button",
    onclick: () => {
      for (const name of Object.keys(chosen)) chosen[name] = "";
      for (const box of form.querySelectorAll("select, input")) box.value = "";
      redraw();
    },
  }, "Show all");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.append(...boxes, field("Words", words), reset, h("output", { id: "shown", "aria-live": "polite" }));
}
