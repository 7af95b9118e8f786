// Draws the page's figures in the colours of the light or the dark page.

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
