// Building elements and tables. Text only ever becomes text: nothing here, or in the other files, parses HTML.

/** An element. Attributes: `class`, `on*` as functions, anything else as it is; null leaves one out. */
function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

function significant(value, digits) {
  if (value === 0) return "0";
  const text = Number(value.toPrecision(digits));
  return Math.abs(text) >= 1e-4 && Math.abs(text) < 1e6 ? String(text.toLocaleString("en", {
    maximumSignificantDigits: digits, minimumSignificantDigits: digits, useGrouping: false,
  })) : text.toExponential(digits - 1);
}

/** A figure with its unit, as many digits as it deserves. */
function figure(value, unit) {
  if (value === null || value === undefined) return "unknown";
  if (unit === "ms") {
    if (value > 0 && value < 0.01) return `${significant(value * 1000, 3)} µs`;
    return value < 10_000 ? `${significant(value, value >= 100 ? 4 : 3)} ms` : `${significant(value / 1000, 3)} s`;
  }
  if (unit === "bytes") {
    const units = ["B", "KiB", "MiB", "GiB"];
    let at = 0;
    while (Math.abs(value) >= 1024 && at < units.length - 1) [value, at] = [value / 1024, at + 1];
    return at === 0 ? `${value} B` : `${significant(value, 3)} ${units[at]}`;
  }
  if (unit === "error") return value === 0 ? "0" : value.toExponential(1);
  return `${significant(value, 3)} ${unit}`;
}

function instant(text) {
  return text ? text.replace("T", " ").replace(/\.\d+/, "").replace("+00:00", " UTC") : "unknown";
}

function badge(word, text) {
  return h("span", { class: `badge ${word.replace(" ", "-")}` }, text ?? word);
}

/** A choice with a label; `options` are [value, text]. */
function select(label, options, value, change) {
  const box = h("select", { onchange: () => change(box.value) }, options.map(([key, text]) => h("option", { value: key }, text)));
  box.value = value;
  return field(label, box);
}

let fields = 0;

function field(label, box) {
  fields += 1;
  box.id = `field-${fields}`;
  return h("div", { class: "field" }, h("label", { for: box.id }, label), box);
}

/** Numbers by size, words as words; what is not known comes last in either direction. */
function compareValues(a, b, direction) {
  const [noA, noB] = [a === null || a === undefined || a === "", b === null || b === undefined || b === ""];
  if (noA || noB) return noA - noB;
  const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
  return direction === "descending" ? -order : order;
}

/** A header cell whose button sorts by it; `sort` is {key, direction}, changed in place before `redraw`. */
function sortable(key, children, sort, redraw, attributes) {
  const active = sort.key === key;
  return h(
    "th",
    { scope: "col", ...attributes, "aria-sort": active ? sort.direction : "none" },
    h("button", {
      class: "sort", type: "button", "data-sort": key,
      onclick: () => {
        sort.direction = active && sort.direction === "ascending" ? "descending" : "ascending";
        sort.key = key;
        redraw();
      },
    }, children),
  );
}

/** Redraws `draw()` inside `holder` and leaves the keyboard on the header that it was on. */
function replaceKeepingFocus(holder, draw) {
  const focused = holder.contains(document.activeElement) ? document.activeElement.getAttribute("data-sort") : null;
  const scrolled = holder.querySelector(".scroll");
  const [left, top] = scrolled ? [scrolled.scrollLeft, scrolled.scrollTop] : [0, 0];
  holder.replaceChildren(...[draw()].flat());
  const now = holder.querySelector(".scroll");
  if (now) [now.scrollLeft, now.scrollTop] = [left, top];
  if (focused !== null) holder.querySelector(`[data-sort="${CSS.escape(focused)}"]`)?.focus();
}

/**
 * A sortable table: `columns` are {key, name, value, cell, number, long}; `value(row)` is what is sorted by,
 * `cell(row)` what is shown. Draws `page` rows and more when asked; all of them for a printer.
 */
function sortedTable({ caption, columns, rows, sort, page = 100, tall = false, empty = "Nothing to show." }) {
  const holder = h("div", { class: "sorted" });
  let shown = page;
  function draw() {
    if (!rows.length) return h("p", { class: "empty" }, empty);
    const column = columns.find((found) => found.key === sort.key);
    const ordered = column ? [...rows].sort((a, b) => compareValues(column.value(a), column.value(b), sort.direction)) : rows;
    const body = ordered.slice(0, shown).map((row) => h("tr", null, columns.map((found) => h(
      "td", { class: found.number ? "number" : found.long ? "long" : null }, found.cell ? found.cell(row) : found.value(row) ?? "",
    ))));
    const head = columns.map((found) => sortable(found.key, found.name, sort, redraw, { class: found.number ? "number" : null }));
    const table = h("table", null, h("caption", { class: "hidden" }, caption), h("thead", null, h("tr", null, head)), h("tbody", null, body));
    const rest = ordered.length - body.length;
    return [
      h("div", { class: `scroll${tall ? " tall" : ""}`, tabindex: "0", role: "region", "aria-label": caption }, table),
      rest > 0 ? h("p", { class: "no-print" }, h("button", {
        type: "button", onclick: () => { shown += 10 * page; redraw(); },
      }, `Show more (${rest} rows are not shown)`)) : null,
      rest > 0 ? h("p", { class: "soft small" }, `${body.length} of ${ordered.length} rows are shown.`) : null,
    ].filter(Boolean);
  }
  function redraw() {
    replaceKeepingFocus(holder, draw);
  }
  holder.append(...[draw()].flat());
  return holder;
}

/** Names and values side by side; pairs whose value is null are left out. */
function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))));
}
