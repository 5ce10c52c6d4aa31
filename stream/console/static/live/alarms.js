// Regret above its bound, and losses that departed from their long run: where, since when, and what is over.

import { bar, h, keyed, mark, say } from "./dom.js";
import { duration, figure, many, moment, NONE, percent, signed } from "./format.js";

const KINDS = {
  regret: { level: "bad", say: (one) => `regret to ${one.about} is ${figure(one.regret, 2)}, above its bound of ${figure(one.bound, 2)}` },
  worse: { level: "warn", say: (one) => `${named(one.about)} is worse: ${figure(one.recent)} of late, ${figure(one.long_run)} in the long run` },
  better: { level: "off", say: (one) => `${named(one.about)} is better: ${figure(one.recent)} of late, ${figure(one.long_run)} in the long run` },
};
const SHOWN = 8;
const named = (about) => (about === "ensemble" ? "the ensemble's loss" : `the loss of ${about}`);

export class Alarms {
  constructor(root, choose) {
    this.host = root.querySelector("#alarms .alarms");
    this.aside = root.querySelector("#alarms-aside");
    this.choose = choose;
    this.list = h("ul.events");
    this.calm = h("p.calm", {}, h("span.state.good"));
    this.closest = h("tbody");
    this.ranking = h("div.scroll", { tabindex: "0", role: "region", "aria-label": "Contexts whose regret is closest to its bound" }, h("table.fixed", {}, h("thead", {}, h("tr", {}, ...[["Closest to its bound"], ["Regret", "number"], ["Bound", "number"], ["Share"]].map(([name, kind]) => h(`th${kind ? ".number" : ""}`, { scope: "col" }, name)))), this.closest));
    this.empty = h("p.empty", {}, h("strong", {}, "Nothing was learned yet"), "Regret and drift are known once labels come.");
    this.full = h("div", {}, this.calm, this.list, this.ranking);
    this.host.append(this.empty);
  }

  update(store) {
    const { alarms, summary } = store.parts;
    if (!alarms || !summary) return;
    const events = [...alarms.lasting, ...alarms.ended].slice(0, SHOWN);
    const shown = events.length || summary.closest.length ? this.full : this.empty;
    if (this.host.firstElementChild !== shown) this.host.replaceChildren(shown);
    say(this.aside, alarms.count ? `${many(alarms.count, "alarm")} now` : "");
    this.calm.hidden = alarms.count > 0;
    say(this.calm.firstElementChild, `Every regret is within its bound, and no loss has drifted (${many(summary.bounded, "context")} with a bound)`);
    keyed(this.closest, summary.closest.slice(0, Math.max(2, SHOWN - events.length)), (one) => one.context, (one) => h("tr", {}, h("th", { scope: "row" }, h("button.link", { type: "button", onclick: () => this.choose(one.context, true) }, one.context || NONE)), h("td.number"), h("td.number"), h("td")), (node, one) => {
      const [, regret, bound, share] = node.children;
      say(regret, signed(one.regret));
      say(bound, figure(one.bound, 1));
      const text = percent(Math.max(one.ratio, 0));
      if (share.dataset.text === text) return;
      share.dataset.text = text;
      share.replaceChildren(bar(one.ratio, text, one.ratio > 1 ? "bad" : ""));
    });
    keyed(this.list, events, (one) => `${one.context}|${one.kind}|${one.about}|${one.since}`, (one) => this.row(one), (node, one) => {
      mark(node, "data-over", one.until ? "" : null);
      say(node.children[1].lastElementChild, `${one.until ? "over: " : ""}${KINDS[one.kind].say(one)}`);
      say(node.lastElementChild, one.until ? `${moment(one.since, store.now)}, for ${duration(one.until - one.since)}` : `since ${moment(one.since, store.now)}`);
    });
  }

  row(one) {
    return h("li", {}, h(`span.state.${KINDS[one.kind].level}`), h("div", {}, h("button.link", { type: "button", onclick: () => this.choose(one.context, true) }, one.context || NONE), h("span")), h("span.when"));
  }
}
