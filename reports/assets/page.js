// What only the report of a run has: buttons that arrange the cycles, the timeline.

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
  document.querySelectorAll("[data-scale]").forEach((button) => { if (button.tagName === "BUTTON") button.addEventListener("click", () => chooseScale(button)); });
  document.querySelectorAll("[data-order]").forEach((button) => button.addEventListener("click", () => chooseOrder(button)));
  const place = document.getElementById("timeline");
  const timeline = DATA.schedules.length ? new Timeline(place, DATA.schedules, colour) : null;
  if (!timeline) place.textContent = "No schedule was recorded in this run.";
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (timeline) timeline.draw(); });
  addEventListener("resize", () => FIGURES.filter((box) => box.isConnected).forEach(alongSlope));
}

main();
