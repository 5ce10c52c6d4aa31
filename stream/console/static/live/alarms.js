// Regret above its bound, and losses that departed from their long run: where, since when, and what is over.

import { h, keyed, mark, say } from "./dom.js";
import { duration, figure, many, moment, NONE } from "./format.js";

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
    this.empty = h("p.empty", {}, h("strong", {}), h("span"));
    this.host.append(this.empty);
  }

  update(store) {
    const { alarms, summary } = store.parts;
    if (!alarms || !summary) return;
    const events = [...alarms.lasting, ...alarms.ended].slice(0, SHOWN);
    const shown = events.length ? this.list : this.empty;
    if (this.host.firstElementChild !== shown) this.host.replaceChildren(shown);
    say(this.aside, alarms.count ? `${many(alarms.count, "alarm")} now` : events.length ? "none now" : "");
    say(this.empty.firstElementChild, summary.regret ? "Every regret is within its bound" : "Nothing was learned yet");
    say(this.empty.lastElementChild, summary.regret ? `${many(summary.regret.bounded, "context")} with a bound, and no loss has drifted.` : "Regret and drift are known once labels come.");
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
