// Experts: who votes, who is sick, whose word counts, and what each costs.

import { Chart } from "./chart.js";
import { bar, h, keyed, mark, say } from "./dom.js";
import { figure, milliseconds, NONE, percent, signed } from "./format.js";

const HEADS = [
  ["Expert", "row", "Its name and version"],
  ["Mode", "", "enabled: it votes; shadow: it is scored and has no vote; disabled: it is not asked"],
  ["Health", "", "Turns on which it answered, timed out, failed or abstained"],
  ["Weight", "", "Mean weight over the turns of the last five minutes"],
  ["Loss", "number", "Mean loss a labelled turn, in the contexts in which it advises"],
  ["Regret", "number", "The ensemble's loss less this expert's, summed over contexts: above 0 it would have been better alone"],
  ["Cost", "number", "Seconds a batch, from the workers' metrics (--metrics-url)"],
];
export const COLOURS = 8;

/** The same colour for one expert in every chart: by its place among all names. */
export function colourOf(name, names) {
  const place = names.indexOf(name.split("@")[0]);
  return `--s${(place < 0 ? 0 : place) % COLOURS}`;
}

/** From the second round of colours on, lines are dashed. */
export function dashOf(name, names) {
  return names.indexOf(name.split("@")[0]) >= COLOURS ? [5, 3] : undefined;
}

export class Experts {
  constructor(root) {
    this.host = root.querySelector("#experts .scroll");
    this.body = h("tbody");
    this.table = h("table", {}, h("thead", {}, h("tr", {}, ...HEADS.map(([name, kind, title]) => h(`th${kind === "number" ? ".number" : ""}`, { scope: "col", title }, name)))), this.body);
    this.empty = h("p.empty", {}, h("strong", {}, "No expert was heard yet"), "They appear with the first verdict or the first labels.");
    this.host.append(this.empty);
    this.names = [];
    const over = h("div.body.chart", {}, h("h3", {}, "Mean weight, over all contexts"));
    this.host.after(over);
    this.chart = new Chart(over, {
      series: [],
      format: percent,
      height: 130,
      range: (min, max) => [0, Math.min(Math.max(max * 1.1, 0.1), 1)],
      about: (chart) => `Mean weights now: ${chart.series.map((one, place) => `${one.name} ${percent(chart.last(place))}`).join(", ")}.`,
    });
    this.over = over;
    over.hidden = true;
  }

  update(store, range) {
    const { experts = [] } = store.parts;
    this.names = experts.map((one) => one.name);
    const shown = experts.length ? this.table : this.empty;
    if (this.host.firstElementChild !== shown) this.host.replaceChildren(shown);
    const costs = experts.some((one) => one.seconds !== null);
    mark(this.table, "data-costs", costs ? "" : null);
    keyed(this.body, experts, (one) => one.name, (one) => this.row(one), (node, one) => this.fill(node, one));
    this.draw(store, range);
  }

  draw(store, range) {
    const names = [...store.weights.columns.keys()];
    this.over.hidden = !names.length;
    if (!names.length) return;
    const every = Math.max(store.window(range).every, store.weights.step);
    const to = Math.floor(store.now / every) * every;
    const xs = [];
    for (let at = to - range; at < to; at += every) xs.push(at);
    this.chart.lines(names.map((name) => ({ name, colour: colourOf(name, this.names), dash: dashOf(name, this.names) })));
    this.chart.set(xs, ...names.map((name) => store.weights.means(name, to - range, to, every)));
  }

  row(one) {
    const cells = HEADS.slice(1).map(([, kind]) => h(`td${kind === "number" ? ".number" : ""}`));
    return h("tr", {}, h("th", { scope: "row" }, h("i.dot", { "aria-hidden": "true" }), h("span.title"), h("span.version")), ...cells);
  }

  fill(node, one) {
    const [head, mode, health, weight, loss, regret, cost] = node.children;
    head.firstElementChild.style.background = `var(${colourOf(one.name, this.names)})`;
    say(head.children[1], one.name);
    say(head.children[2], one.version ? `@${one.version}` : "");
    const called = one.mode ?? "idle";
    if (mode.dataset.mode !== called) {
      mode.dataset.mode = called;
      mode.replaceChildren(h(`span.tag${called === "enabled" ? ".good" : ""}`, {}, called));
    }
    this.health(health, one);
    const text = one.weight === null ? NONE : percent(one.weight);
    if (weight.dataset.text !== text) {
      weight.dataset.text = text;
      weight.replaceChildren(bar(one.weight, text));
    }
    say(loss, figure(one.loss));
    say(regret, signed(one.regret));
    say(cost, one.seconds === null ? NONE : milliseconds(one.seconds * 1000));
  }

  health(cell, one) {
    const failed = one.timeout + one.error;
    const level = one.turns === 0 ? "off" : failed > 0.5 ? "bad" : failed > 0.02 ? "warn" : "good";
    const parts = [];
    if (one.timeout > 0) parts.push(`${percent(one.timeout)} timed out`);
    if (one.error > 0) parts.push(`${percent(one.error)} failed`);
    if (one.abstained > 0) parts.push(`abstains on ${percent(one.abstained)}`);
    const text = one.turns === 0 ? "not asked" : parts.length ? parts.join(", ") : "answers all";
    if (cell.dataset.text === text + level) return;
    cell.dataset.text = text + level;
    cell.replaceChildren(h(`span.state.${level}`, {}, text));
  }
}
