// The three charts over time: traffic, latency, and the mix of verdicts.

import { Chart } from "./chart.js";
import { milliseconds, percent, rate } from "./format.js";

const CLASSES = ["safe", "needs_caution", "unsafe"];
const MIXED = 2; // a share needs more turns than a rate does: steps twice as long

export class Traffic {
  constructor(root) {
    const body = (id) => root.querySelector(`#${id} .body`);
    const sync = "traffic";
    this.traffic = new Chart(body("traffic"), {
      sync,
      series: [
        { name: "Turns", colour: "--accent", fill: 0.08 },
        { name: "Verdicts", colour: "--text", dash: [4, 3] },
        { name: "Labels", colour: "--s2" },
      ],
      format: rate,
      about: (chart) => `Now ${rate(chart.last(0))} turns, ${rate(chart.last(1))} verdicts and ${rate(chart.last(2))} labels a second.`,
    });
    this.latency = new Chart(body("latency"), {
      sync,
      series: [
        { name: "p99", colour: "--accent", fill: 0.08 },
        { name: "Median", colour: "--text", dash: [4, 3] },
      ],
      format: milliseconds,
      about: (chart) => `Now a median of ${milliseconds(chart.last(1))}, and one in a hundred above ${milliseconds(chart.last(0))}.`,
    });
    const share = (above, below) => (value, place, chart) => {
      const at = place ?? (chart.data[above] ?? []).findLastIndex((each) => each !== null);
      const whole = chart.data[above]?.[at];
      return whole === null || whole === undefined ? null : whole - (below ? chart.data[below][at] : 0);
    };
    this.mix = new Chart(body("mix"), {
      sync,
      series: [
        { name: "Safe", colour: "--safe", fill: 0.28, width: 1, shown: share(1, 2) },
        { name: "Caution", colour: "--warn", fill: 0.55, width: 1, shown: share(2, 3) },
        { name: "Unsafe", colour: "--bad", fill: 0.7, width: 1, shown: share(3, 0) },
      ],
      format: percent,
      range: () => [0, 1],
      about: (chart) => `Now ${percent(chart.last(2))} of turns are unsafe, and ${percent((chart.last(1) ?? 0) - (chart.last(2) ?? 0))} need caution.`,
    });
  }

  /** What draws each of the three. */
  get parts() {
    return [(store, range) => this.rates(store, range), (store, range) => this.quantiles(store, range), (store, range) => this.mixture(store, range)];
  }

  rates(store, range) {
    const { from, to, every } = store.window(range);
    const of = (name) => store.series.means(name, from, to, every);
    const [safe, caution, unsafe] = CLASSES.map(of);
    const all = safe.map((value, place) => (value === null ? null : value + caution[place] + unsafe[place]));
    this.traffic.set(steps(from, to, every), of("turns"), all, of("labels"));
  }

  quantiles(store, range) {
    const { from, every } = store.window(range);
    const step = Math.max(every, store.latency.step);
    const start = Math.floor(from / step) * step;
    const of = (name) => store.latency.means(name, start, store.latency.end, step);
    this.latency.set(steps(start, store.latency.end, step), of("p99"), of("p50"));
  }

  /** Shares, each on top of those that are more severe. */
  mixture(store, range) {
    const window = store.window(range);
    const every = window.every * MIXED;
    const to = Math.floor(window.to / every) * every;
    const from = to - range;
    const [safe, caution, unsafe] = CLASSES.map((name) => store.series.means(name, from, to, every));
    const stacked = safe.map((value, place) => {
      const all = value === null ? 0 : value + caution[place] + unsafe[place];
      return all ? [1, (caution[place] + unsafe[place]) / all, unsafe[place] / all] : [null, null, null];
    });
    this.mix.set(steps(from, to, every), ...[0, 1, 2].map((column) => stacked.map((row) => row[column])));
  }
}

function steps(from, to, every) {
  const found = [];
  for (let at = from; at < to; at += every) found.push(at);
  return found;
}
