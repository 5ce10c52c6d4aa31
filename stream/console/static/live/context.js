// One context: what was learned of it, how its weights and its regret moved, and whether its scores are probabilities.

import { Chart } from "./chart.js";
import { bar, h, keyed, mark, say } from "./dom.js";
import { colourOf, dashOf } from "./experts.js";
import { count, figure, NONE, percent, rate, short, signed } from "./format.js";

const EVERY = 2_000;
const FAR = 12; // times the largest regret
const FACTS = ["Policy", "Labels learned", "Verdicts seen", "Unsafe", "Verdicts/s", "Loss a label", "Regret", "Its bound", "Unsafe from", "Caution from"];

export class Context {
  constructor(root, names) {
    this.panel = root.querySelector("#context");
    this.title = root.querySelector("#context-title");
    this.body = this.panel.querySelector(".body");
    this.names = names;
    this.name = null;
    this.asked = 0;
    this.version = -1;
    this.scale = [0, 1];
    this.build();
  }

  build() {
    this.empty = h("p.empty", {}, h("strong", {}, "No context is open"), h("span", {}, "Choose one in the list."));
    this.flags = h("span.flags");
    this.title.after(this.flags);
    this.facts = h("dl.facts", {}, ...FACTS.map((name) => h("div", {}, h("dt", {}, name), h("dd", {}, NONE))));
    const figureOf = (title, more) => {
      const host = h("div.chart");
      return [h("figure", { role: "group", "aria-label": title }, h("figcaption", {}, h("h3", {}, title), h("span.muted.small", {}, more)), host), host];
    };
    const [weights, weightsHost] = figureOf("Weights over time", "of every expert that votes");
    const [regret, regretHost] = figureOf("Regret against its bound", "over labelled turns");
    const [calibration, calibrationHost] = figureOf("Calibration", "are scores probabilities?");
    this.standings = h("tbody");
    this.noBins = h("p.empty", {}, "Labels of turns seen by this console give this picture. None has come yet.");
    this.bins = h("div", {}, calibrationHost);
    calibration.append(this.noBins, this.bins);
    this.full = h(
      "div.full",
      {},
      this.facts,
      h("div.pair", {}, weights, regret),
      h("div.pair", {}, h("div.scroll", { tabindex: "0", role: "region", "aria-label": "Experts in this context" }, h("table", {}, h("thead", {}, h("tr", {}, ...[["Expert"], ["Weight"], ["Loss", "number"], ["Regret", "number"]].map(([name, kind]) => h(`th${kind ? ".number" : ""}`, { scope: "col" }, name)))), this.standings)), calibration),
    );
    this.body.append(this.empty);
    this.charts(weightsHost, regretHost, calibrationHost);
  }

  charts(weights, regret, calibration) {
    this.weights = new Chart(weights, { series: [], format: percent, range: (min, max) => [0, Math.min(Math.max(max * 1.1, 0.1), 1)], height: 190, about: (chart) => `The weights now: ${chart.series.map((one, place) => `${one.name} ${percent(chart.last(place))}`).join(", ")}.` });
    this.regret = new Chart(regret, {
      series: [
        { name: "Regret to the best expert", colour: "--accent", fill: 0.08 },
        { name: "Bound", colour: "--bad", dash: [6, 4], text: (value) => `${figure(value, 2)}${value > this.scale[1] ? ", far above" : ""}` },
      ],
      x: (value) => short(Math.round(value)),
      unit: "Labels",
      format: (value) => figure(value, 2),
      axis: (value) => String(Number(value.toFixed(2))),
      range: () => this.scale,
      height: 190,
      about: (chart) => `After ${count(chart.data[0].at(-1))} labelled turns, regret is ${figure(chart.last(0), 2)} and its bound ${figure(chart.last(1), 2)}.`,
    });
    this.calibration = new Chart(calibration, {
      series: [
        { name: "Share that was unsafe", colour: "--accent" },
        { name: "Scores that are probabilities", colour: "--line-strong", dash: [3, 4], plain: true },
      ],
      points: true,
      x: (value) => figure(value, 2),
      xrange: () => [0, 1],
      unit: "Mean score",
      format: percent,
      range: () => [0, 1],
      height: 190,
      about: (chart) => chart.data[0].map((score, place) => `of turns with a score near ${figure(score, 2)}, ${percent(chart.data[1][place])} were unsafe`).join("; "),
    });
  }

  /** Show another context; null for none. `focus`: a person asked for it. */
  open(name, focus) {
    if (this.name !== name) {
      this.name = name;
      this.version = -1;
      this.asked = 0;
    }
    this.load();
    if (focus) this.panel.scrollIntoView({ block: "nearest", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  }

  update(store) {
    this.now = store.now;
    const { summary } = store.parts;
    const now = performance.now();
    if (!summary || this.name === null || summary.version === this.version || now - this.asked < EVERY) return;
    this.version = summary.version;
    this.asked = now;
    this.load();
  }

  async load() {
    const name = this.name;
    try {
      const answer = await fetch(`/api/live/contexts/${encodeURIComponent(name)}`);
      if (name !== this.name) return;
      if (answer.ok) this.show(await answer.json());
      else if (answer.status === 404) this.miss(name);
    } catch {
      // The feed says that the console is away; the next event asks again.
    }
  }

  miss(name) {
    say(this.title, name);
    say(this.empty.firstElementChild, "Nothing is known of this context");
    say(this.empty.lastElementChild, "No verdict and no label of it was seen.");
    this.flags.replaceChildren();
    this.body.replaceChildren(this.empty);
  }

  show(told) {
    if (told.name !== this.name) return;
    if (this.body.firstElementChild !== this.full) this.body.replaceChildren(this.full);
    say(this.title, told.name);
    const flags = [told.alarm ? ["bad", "regret above its bound"] : null, told.drift ? ["warn", "drift"] : null].filter(Boolean);
    keyed(this.flags, flags, ([, text]) => text, ([level, text]) => h(`span.tag.${level}`, {}, text), () => {});
    const cut = (one) => (one ? `${figure(one.score, 3)}${one.calibrated ? ` (${figure(one.low, 2)} to ${figure(one.high, 2)})` : ""}` : NONE);
    const thresholds = told.told?.thresholds;
    const values = [told.policy || NONE, count(told.rounds), count(told.verdicts), told.verdicts ? percent(told.unsafe / told.verdicts) : NONE, rate(told.rate), figure(told.loss), signed(told.regret), told.told && told.bound === null ? "none" : figure(told.bound, 2), cut(thresholds?.unsafe), cut(thresholds?.caution)];
    values.forEach((value, place) => say(this.facts.children[place].lastElementChild, value));
    this.stand(told.told);
    this.draw(told.history);
    this.bin(told.calibration);
  }

  stand(told) {
    const voters = [...(told?.experts ?? [])].sort((a, b) => b.weight - a.weight);
    const rows = [...voters.map((one) => ({ ...one, shadow: false })), ...(told?.shadows ?? []).map((one) => ({ ...one, shadow: true }))];
    keyed(this.standings, rows, (one) => `${one.id}${one.shadow}`, (one) => h("tr", {}, h("th", { scope: "row" }, h("i.dot", { "aria-hidden": "true" }), h("span"), one.shadow ? h("span.tag", {}, "shadow") : null), h("td"), h("td.number"), h("td.number")), (node, one) => {
      const [head, weight, loss, regret] = node.children;
      head.firstElementChild.style.background = `var(${colourOf(one.id, this.names())})`;
      say(head.children[1], one.id.split("@")[0]);
      mark(head, "title", one.id);
      const text = one.shadow ? NONE : percent(one.weight);
      if (weight.dataset.text !== text) {
        weight.dataset.text = text;
        weight.replaceChildren(bar(one.weight, text));
      }
      say(loss, figure(one.loss, 2));
      say(regret, signed(one.regret));
    });
  }

  draw(history) {
    if (!history) {
      this.weights.set([]);
      this.regret.set([], [], []);
      return;
    }
    const ids = Object.keys(history.experts);
    this.weights.lines(ids.map((id) => ({ name: id.split("@")[0], colour: colourOf(id, this.names()), dash: dashOf(id, this.names()) })));
    // One point is no line: it is drawn as a level up to now.
    const level = history.at.length === 1 && this.now > history.at[0];
    const stretch = (values) => (level ? [values[0], values[0]] : values);
    this.weights.set(level ? [history.at[0], this.now] : history.at, ...ids.map((id) => stretch(history.experts[id])));
    const [rounds, regret, bound] = ascending(history);
    this.scale = scaled(regret, bound);
    this.regret.set(rounds, regret, bound);
  }

  bin(bins) {
    const known = bins && bins.labels > 0;
    this.noBins.hidden = Boolean(known);
    this.bins.hidden = !known;
    if (known) this.calibration.set(bins.score, bins.unsafe, bins.score);
  }
}

/** The ends of the axis: a bound far above every regret would press it into one line, so it is left out of sight. */
function scaled(regret, bound) {
  const known = regret.filter((value) => value !== null);
  const [low, high] = [Math.min(...known, 0), Math.max(...known, 0)];
  const size = Math.max(high, -low) || 1;
  const top = Math.max(...bound.filter((value) => value !== null), 0);
  return [low - 0.08 * size, (top > FAR * size ? 2 * size : Math.max(top, high)) * 1.08];
}

/** Of several points after as many labels, the last; a context that was counted anew begins there. */
function ascending({ rounds, regret, bound }) {
  const found = [[], [], []];
  rounds.forEach((value, place) => {
    const [xs] = found;
    if (xs.length && value < xs.at(-1)) for (const column of found) column.length = 0;
    if (xs.length && value === xs.at(-1)) for (const column of found) column.pop();
    found[0].push(value);
    found[1].push(regret[place]);
    found[2].push(bound[place]);
  });
  return found;
}
