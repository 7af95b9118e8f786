// A layer's commands as lanes over cycles, on a canvas: wheel or buttons zoom, dragging moves, hovering names.
// Commands in flight together are on tracks below each other. Where many share a pixel, its strength is the part of its cycles that were busy.

const LANE_HEIGHT = 46, LANE_GAP = 14, LEFT = 74, AXIS = 30;
const CONTROLS = '<div class="timeline-bar"><select aria-label="Layer"></select><span class="windows" role="group" aria-label="Window"></span><button type="button" data-zoom="0.5" aria-label="Zoom in">+</button><button type="button" data-zoom="2" aria-label="Zoom out">−</button><button type="button" data-zoom="all">whole window</button><span class="muted place"></span></div>';
const BODY = '<div class="bar thin"></div><div class="legend"></div><div class="timeline-box"><canvas tabindex="0" aria-label="Timeline of commands"></canvas><div class="tip" hidden></div></div><p class="hint"></p>';

class Timeline {
  constructor(box, schedules, colour) {
    this.schedules = schedules;
    this.colour = colour;
    box.innerHTML = CONTROLS + BODY;
    this.select = box.querySelector("select");
    this.windows = box.querySelector(".windows");
    this.place = box.querySelector(".place");
    this.bar = box.querySelector(".bar");
    this.legend = box.querySelector(".legend");
    this.canvas = box.querySelector("canvas");
    this.tip = box.querySelector(".tip");
    this.mapping = box.querySelector("p");
    schedules.forEach((schedule, index) => this.select.add(new Option(schedule.title, String(index))));
    this.select.addEventListener("change", () => this.choose(Number(this.select.value)));
    box.querySelectorAll("[data-zoom]").forEach((button) => button.addEventListener("click", () => this.press(button.dataset.zoom)));
    this.listen();
    const costliest = schedules.reduce((best, schedule, index) => (schedule.cycles > schedules[best].cycles ? index : best), 0);
    this.select.value = String(costliest);
    this.choose(costliest);
    new ResizeObserver(() => this.draw()).observe(this.canvas.parentElement);
  }

  choose(index) {
    this.schedule = this.schedules[index];
    this.mapping.textContent = this.schedule.mapping;
    this.showCauses();
    this.windows.replaceChildren(...this.schedule.windows.map((shown, number) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = shown.name;
      button.addEventListener("click", () => this.chooseWindow(number));
      return button;
    }));
    this.chooseWindow(0);
  }

  // Where the layer's cycles went, as a bar and its legend.
  showCauses() {
    const { causes } = this.schedule;
    this.bar.replaceChildren(...causes.map(([cause, text, share, property]) => {
      const part = document.createElement("span");
      part.style.flexGrow = String(share);
      part.style.background = `var(${property})`;
      part.title = `${cause}: ${text}`;
      return part;
    }));
    this.legend.replaceChildren(...causes.map(([cause, text, , property]) => {
      const entry = document.createElement("span"), patch = document.createElement("b");
      patch.style.background = `var(${property})`;
      entry.append(patch, `${cause} ${text.split(",")[0]}`);
      entry.title = text;
      return entry;
    }));
  }

  chooseWindow(number) {
    Array.from(this.windows.children).forEach((button, i) => button.setAttribute("aria-pressed", String(i === number)));
    this.shown = this.schedule.windows[number];
    const { start, length, lane, lanes } = this.shown;
    this.rows = lanes.map((_, l) => start.flatMap((_, i) => (lane[i] === l ? [i] : [])));
    const timed = this.rows[0].length ? this.rows[0] : start.map((_, i) => i);
    this.begin = timed.reduce((begin, i) => Math.min(begin, start[i]), Infinity);
    this.end = start.reduce((end, s, i) => Math.max(end, s + length[i]), this.begin + 1);
    this.canvas.style.height = `${lanes.length * (LANE_HEIGHT + LANE_GAP) + AXIS}px`;
    this.show(this.begin, this.end);
  }

  show(from, to) {
    const width = Math.min(Math.max(to - from, 16), this.end - this.begin);
    this.from = Math.min(Math.max(from, this.begin), this.end - width);
    this.to = this.from + width;
    const number = (cycles) => Math.round(cycles).toLocaleString("en");
    this.place.textContent = `cycles ${number(this.from)} to ${number(this.to)} of ${number(this.schedule.cycles)}`;
    this.draw();
  }

  press(zoom) {
    if (zoom === "all") this.show(this.begin, this.end);
    else this.zoom(Number(zoom), (this.from + this.to) / 2);
  }

  zoom(factor, centre) {
    this.show(centre - (centre - this.from) * factor, centre + (this.to - centre) * factor);
  }

  move(cycles) {
    this.show(this.from + cycles, this.to + cycles);
  }

  plotWidth() { return this.canvas.clientWidth - LEFT - 8; }
  cycleAt(x) { return this.from + ((x - LEFT) / this.plotWidth()) * (this.to - this.from); }
  xAt(cycle) { return LEFT + ((cycle - this.from) / (this.to - this.from)) * this.plotWidth(); }

  draw() {
    const scale = window.devicePixelRatio || 1, { clientWidth, clientHeight } = this.canvas;
    this.canvas.width = clientWidth * scale;
    this.canvas.height = clientHeight * scale;
    const pen = this.canvas.getContext("2d");
    pen.scale(scale, scale);
    pen.font = "12px system-ui, sans-serif";
    this.paint = new Map();
    this.drawAxis(pen);
    this.shown.lanes.forEach((name, lane) => this.drawLane(pen, name, lane));
  }

  // Asking the page for a colour is slow, so each is asked for once a drawing.
  hue(property) {
    if (!this.paint.has(property)) this.paint.set(property, this.colour(property));
    return this.paint.get(property);
  }

  drawAxis(pen) {
    const rough = ((this.to - this.from) * 110) / Math.max(this.plotWidth(), 220), power = 10 ** Math.floor(Math.log10(rough));
    const step = Math.max(1, [1, 2, 5, 10].find((m) => m * power >= rough) * power);
    const bottom = this.canvas.clientHeight - AXIS;
    pen.textAlign = "center";
    for (let tick = Math.ceil(this.from / step) * step; tick <= this.to; tick += step) {
      const x = Math.round(this.xAt(tick)) + 0.5;
      pen.fillStyle = this.hue("--grid");
      pen.fillRect(x - 0.5, 0, 1, bottom + 4);
      pen.fillStyle = this.hue("--muted");
      pen.fillText(tick.toLocaleString("en"), Math.min(Math.max(x, LEFT + 10), this.canvas.clientWidth - 30), bottom + 20);
    }
  }

  drawLane(pen, name, lane) {
    const top = lane * (LANE_HEIGHT + LANE_GAP) + 4;
    pen.textAlign = "left";
    pen.fillStyle = this.hue("--ink");
    pen.fillText(name === "array" ? "array waits" : name, 2, top + LANE_HEIGHT / 2 + 4);
    const { start, length, label, colours, track, tracks } = this.shown, height = LANE_HEIGHT / tracks[lane];
    const busy = new Map();
    for (const i of this.rows[lane]) {
      const left = Math.max(this.xAt(start[i]), LEFT), right = Math.min(this.xAt(start[i] + length[i]), LEFT + this.plotWidth());
      if (right <= left) continue;
      const property = colours[label[i]], y = top + track[i] * height;
      if (right - left >= 3) {
        pen.fillStyle = this.hue(property);
        pen.fillRect(left, y, right - left - 0.75, height - this.seam(lane));
      } else this.spread(busy, `${property} ${track[i]}`, left - LEFT, right - LEFT);
    }
    busy.forEach((parts, key) => this.drawShares(pen, key.split(" ")[0], parts, top + Number(key.split(" ")[1]) * height, height - this.seam(lane)));
    pen.globalAlpha = 1;
  }

  drawShares(pen, property, parts, y, height) {
    pen.fillStyle = this.hue(property);
    parts.forEach((part, x) => {
      pen.globalAlpha = Math.min(part, 1);
      if (part > 0.01) pen.fillRect(LEFT + x, y, 1, height);
    });
    pen.globalAlpha = 1;
  }

  seam(lane) { return this.shown.tracks[lane] > 1 ? 1 : 0; }

  spread(busy, key, left, right) {
    if (!busy.has(key)) busy.set(key, new Float64Array(Math.ceil(this.plotWidth()) + 1));
    const parts = busy.get(key);
    for (let x = Math.floor(left); x < right; x++) parts[x] += Math.min(right, x + 1) - Math.max(left, x);
  }

  at(x, y) {
    const lane = Math.floor((y - 4) / (LANE_HEIGHT + LANE_GAP)), cycle = this.cycleAt(x);
    const slack = (this.to - this.from) / this.plotWidth();
    if (x < LEFT || !this.rows[lane]) return null;
    const { start, length, track, tracks } = this.shown;
    const row = Math.min(Math.floor(((y - 4) % (LANE_HEIGHT + LANE_GAP)) / (LANE_HEIGHT / tracks[lane])), tracks[lane] - 1);
    return this.rows[lane].find((i) => track[i] === row && start[i] - slack <= cycle && cycle <= start[i] + length[i] + slack) ?? null;
  }

  hover(event) {
    const found = this.at(event.offsetX, event.offsetY);
    this.tip.hidden = found === null;
    if (found === null) return;
    const { start, length, label, labels } = this.shown, number = (value) => value.toLocaleString("en");
    this.tip.textContent = `${labels[label[found]]}\ncycles ${number(start[found])} to ${number(start[found] + length[found])} (${number(length[found])})`;
    const right = event.offsetX > this.canvas.clientWidth / 2;
    this.tip.style.left = right ? "" : `${event.offsetX + 12}px`;
    this.tip.style.right = right ? `${this.canvas.clientWidth - event.offsetX + 12}px` : "";
    this.tip.style.top = `${event.offsetY + 14}px`;
  }

  listen() {
    const canvas = this.canvas;
    let dragged = null;
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(event.deltaY > 0 ? 1.25 : 0.8, this.cycleAt(event.offsetX));
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => { dragged = event.offsetX; canvas.setPointerCapture(event.pointerId); });
    canvas.addEventListener("pointerup", () => { dragged = null; });
    canvas.addEventListener("pointerleave", () => { this.tip.hidden = true; });
    canvas.addEventListener("dblclick", () => this.show(this.begin, this.end));
    canvas.addEventListener("pointermove", (event) => {
      if (dragged === null) return this.hover(event);
      this.move(((dragged - event.offsetX) / this.plotWidth()) * (this.to - this.from));
      dragged = event.offsetX;
    });
    canvas.addEventListener("keydown", (event) => {
      const step = (this.to - this.from) / 5;
      const keys = { ArrowLeft: () => this.move(-step), ArrowRight: () => this.move(step), "+": () => this.press("0.5"), "-": () => this.press("2"), Home: () => this.press("all") };
      if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
    });
  }
}
