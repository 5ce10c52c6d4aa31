// One chart: uPlot on a canvas, a legend whose numbers follow the cursor, a sentence for those who cannot see it, and a
// table for those who want the numbers.

import uPlot from "/static/vendor/uPlot-1.6.32/uPlot.esm.js";
import { h, say } from "./dom.js";
import { hour, time } from "./format.js";

const TABLE_ROWS = 12;
const probe = h("span", { hidden: true });

/** The colour that a variable of the style sheet has now. */
export function colour(name) {
  if (!probe.isConnected) document.body.append(probe);
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}

function faded(rgb, alpha) {
  const [r, g, b] = rgb.match(/[\d.]+/g);
  return `rgb(${r} ${g} ${b} / ${alpha})`;
}

/**
 * `series`: [{name, colour (a variable), dash, fill (opacity), width}]; `format` turns a value into text, `x` is "time"
 * or a format of its own; `range(min, max)` gives the ends of the y axis; `about(chart)` the sentence.
 */
export class Chart {
  constructor(host, { series, format, axis = format, x = "time", range = null, height = 168, about = () => "", sync = null, points = false, xrange = null, unit = "Time" }) {
    Object.assign(this, { host, series, format, axis, x, range, height, about, sync, points, xrange, unit });
    this.data = [[], ...series.map(() => [])];
    this.plot = null;
    this.visible = false;
    this.stale = false;
    this.legend = h("ul.legend");
    this.canvas = h("div.canvas", { "aria-hidden": "true" });
    this.sentence = h("p.hidden");
    this.rows = h("div.scroll", { hidden: true, tabindex: "0", role: "region", "aria-label": "The chart's numbers" });
    this.toggle = h("button.quiet.tiny", { type: "button", "aria-expanded": "false", onclick: () => this.flip() }, "Table");
    host.append(h("div.legend-row", {}, this.legend, this.toggle), this.sentence, this.canvas, this.rows);
    new ResizeObserver(() => this.plot?.setSize(this.size())).observe(this.canvas);
    new IntersectionObserver(([entry]) => {
      this.visible = entry.isIntersecting;
      if (this.visible && this.stale) this.draw();
    }).observe(this.canvas);
    this.rethemed = () => {
      this.plot?.destroy();
      this.plot = null;
      this.draw();
    };
    addEventListener("themechange", this.rethemed);
  }

  size() {
    return { width: Math.max(this.canvas.clientWidth, 60), height: this.height };
  }

  /** Other lines from now on: the chart is made anew when their names or colours differ. */
  lines(series) {
    const same = series.length === this.series.length && series.every((one, place) => one.name === this.series[place].name && one.colour === this.series[place].colour);
    this.series = series;
    if (same) return;
    this.plot?.destroy();
    this.plot = null;
  }

  /** `xs` and one list of values for each line. */
  set(xs, ...columns) {
    this.data = [xs, ...columns];
    if (this.visible && !document.hidden) this.draw();
    else this.stale = true;
  }

  draw() {
    this.stale = false;
    if (!this.host.isConnected || !this.canvas.clientWidth) return;
    if (this.plot === null) this.make();
    else this.plot.setData(this.data);
    this.tell(this.plot.cursor.idx ?? null);
    say(this.sentence, this.about(this));
    if (!this.rows.hidden) this.table();
  }

  make() {
    const line = colour("--line");
    const text = colour("--muted");
    const font = `11px ${getComputedStyle(document.body).fontFamily}`;
    const shown = this.x === "time" ? (at, step) => (step < 60 ? time(at) : hour(at)) : this.x;
    const axis = { stroke: text, font, grid: { stroke: line, width: 1 }, ticks: { show: false } };
    this.legend.replaceChildren();
    this.values = this.series.map((one) => {
      const swatch = h(`i${one.fill ? ".area" : ""}${one.dash ? ".dashed" : ""}`);
      swatch.style.setProperty("--c", colour(one.colour));
      const value = h("b");
      this.legend.append(h("li", {}, swatch, one.name, value));
      return value;
    });
    this.plot = new uPlot(
      {
        ...this.size(),
        padding: [6, 16, 0, 0],
        legend: { show: false },
        cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false }, ...(this.sync ? { sync: { key: this.sync } } : {}) },
        scales: {
          x: { time: false, ...(this.xrange ? { range: this.xrange } : {}) },
          y: { range: (u, min, max) => (this.range ?? positive)(min ?? 0, max ?? 0) },
        },
        axes: [
          { ...axis, grid: { show: false }, size: 24, gap: 4, space: 64, values: (u, splits, _, __, step) => splits.map((at) => shown(at, step)), ...(this.x === "time" ? { incrs: [5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400] } : {}) },
          { ...axis, size: 46, gap: 6, space: 34, values: (u, splits) => splits.map((value) => this.axis(value)) },
        ],
        series: [
          {},
          ...this.series.map((one) => {
            const stroke = colour(one.colour);
            return {
              stroke,
              width: one.width ?? 1.6,
              dash: one.dash,
              fill: one.fill ? faded(stroke, one.fill) : undefined,
              points: { show: this.points && !one.plain, size: 7, fill: stroke },
              spanGaps: false,
            };
          }),
        ],
        hooks: { setCursor: [(u) => this.tell(u.cursor.idx ?? null)] },
      },
      this.data,
      this.canvas,
    );
  }

  /** The legend's numbers: those under the cursor, else the last that are known. */
  tell(place) {
    this.series.forEach((one, index) => {
      const values = this.data[index + 1] ?? [];
      const value = place === null ? values.findLast((each) => each !== null && each !== undefined) : values[place];
      say(this.values[index], one.plain ? "" : (one.text ?? this.format)(one.shown ? one.shown(value, place, this) : value));
    });
  }

  last(index) {
    return (this.data[index + 1] ?? []).findLast((each) => each !== null && each !== undefined);
  }

  flip() {
    this.rows.hidden = !this.rows.hidden;
    this.toggle.setAttribute("aria-expanded", String(!this.rows.hidden));
    if (!this.rows.hidden) this.table();
  }

  table() {
    const xs = this.data[0];
    const step = Math.max(1, Math.ceil(xs.length / TABLE_ROWS));
    const places = xs.map((_, place) => place).filter((place) => (xs.length - 1 - place) % step === 0);
    const shown = this.x === "time" ? time : this.x;
    const series = this.series.map((one, index) => [one, index]).filter(([one]) => !one.plain);
    this.rows.replaceChildren(
      h(
        "table",
        {},
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, this.unit), ...series.map(([one]) => h("th.number", { scope: "col" }, one.name)))),
        h("tbody", {}, ...places.reverse().map((place) => h("tr", {}, h("th", { scope: "row" }, shown(xs[place])), ...series.map(([one, index]) => h("td.number", {}, this.format(one.shown ? one.shown(this.data[index + 1][place], place, this) : this.data[index + 1][place])))))),
      ),
    );
  }
}

/** From 0 to a little above the largest. */
export function positive(min, max) {
  return [0, max > 0 ? max * 1.08 : 1];
}
