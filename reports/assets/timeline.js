// A layer's commands as lanes over cycles, on a canvas: wheel or buttons zoom, dragging moves, hovering names.
// Commands in flight together are on tracks below each other. Where many share a pixel, its strength is the part of its cycles that were busy.

const LANE_HEIGHT = 46, LANE_GAP = 16, LEFT = 74, AXIS = 30;
const LANE_COLOURS = ["--orange", "--blue", "--green", "--purple", "--sky", "--red"];

class Timeline {
  constructor(box, schedules, colour) {
    this.schedules = schedules;
    this.colour = colour;
    box.innerHTML = '<div class="timeline-bar"><select aria-label="Layer"></select><button type="button" data-zoom="0.5" aria-label="Zoom in">+</button><button type="button" data-zoom="2" aria-label="Zoom out">−</button><button type="button" data-zoom="all">whole layer</button><span class="muted"></span></div><div class="timeline-box"><canvas tabindex="0" aria-label="Timeline of commands"></canvas><div class="tip" hidden></div></div><p class="hint"></p>';
    this.select = box.querySelector("select");
    this.window = box.querySelector("span");
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
    const { start, length, lane, lanes } = this.schedule;
    this.rows = lanes.map((_, l) => start.flatMap((_, i) => (lane[i] === l ? [i] : [])));
    this.end = start.reduce((end, s, i) => Math.max(end, s + length[i]), 1);
    this.mapping.textContent = this.schedule.mapping;
    this.canvas.style.height = `${lanes.length * (LANE_HEIGHT + LANE_GAP) + AXIS}px`;
    this.show(0, this.end);
  }

  show(from, to) {
    const width = Math.min(Math.max(to - from, 16), this.end);
    this.from = Math.min(Math.max(from, 0), this.end - width);
    this.to = this.from + width;
    const number = (cycles) => Math.round(cycles).toLocaleString("en");
    const cut = this.end < this.schedule.cycles * 0.98 ? "; nothing is recorded after" : "";
    this.window.textContent = `cycles ${number(this.from)} to ${number(this.to)} of ${number(this.schedule.cycles)}${cut}`;
    this.draw();
  }

  press(zoom) {
    if (zoom === "all") this.show(0, this.end);
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
    this.drawAxis(pen);
    this.schedule.lanes.forEach((name, lane) => this.drawLane(pen, name, lane));
  }

  drawAxis(pen) {
    const rough = (this.to - this.from) / 8, power = 10 ** Math.floor(Math.log10(rough));
    const step = Math.max(1, [1, 2, 5, 10].find((m) => m * power >= rough) * power);
    const bottom = this.canvas.clientHeight - AXIS;
    pen.textAlign = "center";
    for (let tick = Math.ceil(this.from / step) * step; tick <= this.to; tick += step) {
      const x = Math.round(this.xAt(tick)) + 0.5;
      pen.fillStyle = this.colour("--grid");
      pen.fillRect(x - 0.5, 0, 1, bottom + 4);
      pen.fillStyle = this.colour("--muted");
      pen.fillText(tick.toLocaleString("en"), Math.min(Math.max(x, LEFT + 10), this.canvas.clientWidth - 30), bottom + 20);
    }
  }

  drawLane(pen, name, lane) {
    const top = lane * (LANE_HEIGHT + LANE_GAP) + 4;
    pen.textAlign = "left";
    pen.fillStyle = this.colour("--ink");
    pen.fillText(name, 2, top + LANE_HEIGHT / 2 + 4);
    pen.fillStyle = this.colour(LANE_COLOURS[lane % LANE_COLOURS.length]);
    const { start, length, track, tracks } = this.schedule, height = LANE_HEIGHT / tracks[lane];
    const busy = Array.from({ length: tracks[lane] }, () => new Float64Array(this.plotWidth() + 1));
    for (const i of this.rows[lane]) {
      const left = Math.max(this.xAt(start[i]), LEFT), right = Math.min(this.xAt(start[i] + length[i]), LEFT + this.plotWidth());
      if (right <= left) continue;
      if (right - left >= 3) pen.fillRect(left, top + track[i] * height, right - left - 0.75, height - this.seam(lane));
      else this.spread(busy[track[i]], left - LEFT, right - LEFT);
    }
    busy.forEach((parts, row) => parts.forEach((part, x) => {
      pen.globalAlpha = Math.min(part, 1);
      if (part > 0.01) pen.fillRect(LEFT + x, top + row * height, 1, height - this.seam(lane));
    }));
    pen.globalAlpha = 1;
  }

  seam(lane) { return this.schedule.tracks[lane] > 1 ? 1 : 0; }

  spread(busy, left, right) {
    for (let x = Math.floor(left); x < right; x++) busy[x] += Math.min(right, x + 1) - Math.max(left, x);
  }

  at(x, y) {
    const lane = Math.floor((y - 4) / (LANE_HEIGHT + LANE_GAP)), cycle = this.cycleAt(x);
    const slack = (this.to - this.from) / this.plotWidth();
    if (x < LEFT || !this.rows[lane]) return null;
    const { start, length, track, tracks } = this.schedule;
    const row = Math.min(Math.floor(((y - 4) % (LANE_HEIGHT + LANE_GAP)) / (LANE_HEIGHT / tracks[lane])), tracks[lane] - 1);
    return this.rows[lane].find((i) => track[i] === row && start[i] - slack <= cycle && cycle <= start[i] + length[i] + slack) ?? null;
  }

  hover(event) {
    const found = this.at(event.offsetX, event.offsetY);
    this.tip.hidden = found === null;
    if (found === null) return;
    const { start, length, label, labels } = this.schedule, number = (value) => value.toLocaleString("en");
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
    canvas.addEventListener("dblclick", () => this.show(0, this.end));
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
