// ECharts as this report uses it: the page's colours in light, dark and print, no motion where none is wanted.

const charts = new Map(); // element -> what draws it

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Told apart by colour-blind readers too (Okabe & Ito), and never the only thing that tells. */
const SERIES_COLORS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#7f7f7f"];
const runtimeColors = new Map();

/** One colour for a runtime in all charts that tell runtimes apart. */
function runtimeColor(runtime) {
  if (!runtimeColors.has(runtime)) runtimeColors.set(runtime, SERIES_COLORS[runtimeColors.size % SERIES_COLORS.length]);
  return runtimeColors.get(runtime);
}

const SYMBOLS = ["circle", "rect", "triangle", "diamond", "pin", "arrow"];

/** Draws `options()` into a new element; `label` is what a screen reader says of it. */
function chart(label, options, { low = false, height = null } = {}) {
  const element = h("div", { class: `chart${low ? " low" : ""}`, role: "img", "aria-label": label, style: height ? `height: ${height}px` : null });
  charts.set(element, { options, instance: null });
  sizes.observe(element);
  return element;
}

function drawChart(element) {
  const held = charts.get(element);
  if (!held || !element.isConnected || !element.clientWidth) return;
  held.instance ??= echarts.init(element, null, { renderer: "svg" });
  held.instance.resize();
  held.instance.setOption({ ...base(), ...held.options(element.clientWidth) }, { notMerge: true });
}

const sizes = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    if (target.isConnected) drawChart(target);
    else forget(target);
  }
});

function forget(element) {
  charts.get(element)?.instance?.dispose();
  charts.delete(element);
  sizes.unobserve(element);
}

/** Lets go of the charts of a part of the page that is about to be replaced. */
function forgetCharts(part) {
  for (const element of [...charts.keys()]) if (part.contains(element)) forget(element);
}

function redrawCharts() {
  for (const element of charts.keys()) drawChart(element);
}

function base() {
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches || document.documentElement.classList.contains("printing");
  return {
    animation: !still,
    animationDuration: 250,
    color: SERIES_COLORS,
    textStyle: { color: color("ink"), fontFamily: "system-ui, sans-serif" },
    aria: { enabled: false }, // the element says what it is, and a table says the figures
  };
}

function axis(name, rest) {
  return {
    name, nameLocation: "middle", nameGap: 32,
    nameTextStyle: { color: color("soft") }, axisLabel: { color: color("soft"), hideOverlap: true },
    axisLine: { lineStyle: { color: color("line") } }, splitLine: { lineStyle: { color: color("line"), opacity: 0.6 } },
    ...rest,
  };
}

function legend(rest) {
  return { type: "scroll", top: 4, textStyle: { color: color("ink") }, pageTextStyle: { color: color("ink") }, pageIconColor: color("accent"), ...rest };
}

/** A tooltip whose content is an element, so that names stay text. */
function tooltip(linesOf, rest) {
  return {
    backgroundColor: color("raised"), borderColor: color("line"), textStyle: { color: color("ink") }, confine: true,
    formatter: (parameters) => h("div", null, linesOf(parameters).filter(Boolean).map((line) => h("div", null, line))),
    ...rest,
  };
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawCharts);
addEventListener("beforeprint", () => { // the class gives charts the width of a sheet: they are drawn before it is laid out
  document.documentElement.classList.add("printing");
  redrawCharts();
});
addEventListener("afterprint", () => {
  document.documentElement.classList.remove("printing");
  redrawCharts();
});
