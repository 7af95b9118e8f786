// Puts the page together: figures in the colours of the light or the dark page, tables, the timeline.

const DATA = JSON.parse(document.getElementById("data").textContent);
const FIGURES = Array.from(document.querySelectorAll("[data-figure]"));

function colour(property) {
  return getComputedStyle(document.documentElement).getPropertyValue(property).trim();
}

function inColours(value) {
  if (typeof value === "string") return /^var\(--[a-z]+\)$/.test(value) ? colour(value.slice(4, -1)) : value;
  if (Array.isArray(value)) return value.map(inColours);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, inColours(item)]));
}

function axis(settings) {
  const common = { gridcolor: colour("--grid"), linecolor: colour("--grid"), zerolinecolor: colour("--grid"), automargin: true };
  return { ...common, ...settings, title: settings.title ? { standoff: 10, font: { size: 12 }, ...settings.title } : undefined };
}

function styled(layout) {
  const found = inColours(layout);
  Object.keys(found).filter((key) => /^[xy]axis/.test(key)).forEach((key) => { found[key] = axis(found[key]); });
  return {
    ...found,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 20, r: 16, t: 10, b: 10 },
    font: { family: "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif", size: 12, color: colour("--ink") },
    hoverlabel: { bgcolor: colour("--card"), bordercolor: colour("--muted"), font: { color: colour("--ink"), size: 12 }, align: "left" },
  };
}

// Turns the annotation named "slope" to lie along a line of slope 1 on logarithmic axes, above it.
function alongSlope(box) {
  const { xaxis, yaxis, annotations } = box._fullLayout;
  const index = annotations.findIndex((annotation) => annotation.name === "slope");
  if (index < 0) return;
  const perDecade = (axis) => axis._length / (axis.range[1] - axis.range[0]);
  const angle = Math.atan2(perDecade(yaxis), perDecade(xaxis));
  const shift = { xshift: -13 * Math.sin(angle), yshift: 13 * Math.cos(angle), textangle: (-angle * 180) / Math.PI };
  Plotly.relayout(box, Object.fromEntries(Object.entries(shift).map(([key, value]) => [`annotations[${index}].${key}`, value])));
}

function drawFigures() {
  for (const box of FIGURES) {
    const figure = DATA.figures[box.dataset.figure];
    if (!figure) { box.remove(); continue; }
    const extra = box.dataset.scale ? { barnorm: box.dataset.scale } : {};
    const config = { responsive: true, displayModeBar: false };
    Plotly.react(box, inColours(figure.data), styled({ ...figure.layout, ...extra }), config);
    alongSlope(box);
  }
}

function pressed(button) {
  button.parentElement.querySelectorAll("button").forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
}

function chooseScale(button) {
  pressed(button);
  const box = document.querySelector('[data-figure="cycles"]');
  box.dataset.scale = button.dataset.scale;
  const title = button.dataset.scale ? "percent of the layer" : "cycles";
  Plotly.relayout(box, { barnorm: button.dataset.scale, "yaxis.title.text": title, "yaxis.autorange": true });
}

// The bars of a figure by layer, in the order of its layers or with the highest first.
function chooseOrder(button) {
  pressed(button);
  const box = document.querySelector('[data-figure="cycles"]'), figure = DATA.figures.cycles, [first] = figure.data;
  const totals = first.x.map((_, i) => figure.data.slice(1).reduce((sum, trace) => sum + (trace.y[i] ?? 0), 0));
  const order = totals.map((_, i) => i);
  if (button.dataset.order) order.sort((a, b) => totals[b] - totals[a] || a - b);
  const arranged = (values) => order.map((i) => values[i]);
  figure.data.forEach((trace, t) => Plotly.restyle(box, { y: [arranged(trace.y)], customdata: [arranged(trace.customdata)] }, [t]));
  const { ticktext } = figure.layout.xaxis;
  Plotly.relayout(box, {
    ...(ticktext ? { "xaxis.ticktext": arranged(ticktext) } : { "xaxis.title.text": button.dataset.order ? "layers, slowest first" : "layer, in network order" }),
    "xaxis.unifiedhovertitle.text": button.dataset.order ? "" : figure.layout.xaxis.unifiedhovertitle.text,
  });
}

function main() {
  drawFigures();
  document.querySelectorAll("table").forEach((table) => { if (table.tHead) makeSortable(table); });
  document.querySelectorAll("[data-filter]").forEach(makeFilter);
  document.querySelectorAll("[data-scale]").forEach((button) => { if (button.tagName === "BUTTON") button.addEventListener("click", () => chooseScale(button)); });
  document.querySelectorAll("[data-order]").forEach((button) => button.addEventListener("click", () => chooseOrder(button)));
  const place = document.getElementById("timeline");
  const timeline = DATA.schedules.length ? new Timeline(place, DATA.schedules, colour) : null;
  if (!timeline) place.textContent = "No schedule was recorded in this run.";
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { drawFigures(); if (timeline) timeline.draw(); });
  addEventListener("resize", () => FIGURES.filter((box) => box.isConnected).forEach(alongSlope));
  document.documentElement.dataset.ready = "yes";
}

main();
