// Lag by partition: who owns it, what waits, and how that moved. Those that wait most come first when there are many.

import { h, keyed, mark, redraw, say, spark } from "./dom.js";
import { count, many, NONE } from "./format.js";

const FEW = 12;

export class Partitions {
  constructor(root) {
    this.host = root.querySelector("#partitions .scroll");
    this.aside = root.querySelector("#workers");
    this.body = h("tbody");
    this.table = h("table", {}, h("thead", {}, h("tr", {}, h("th.number", { scope: "col", title: "Of turns.v1 and labels.v1" }, "No."), h("th.number", { scope: "col" }, "Turns wait"), h("th", { scope: "col" }, h("span.hidden", {}, "Trend")), h("th.number", { scope: "col" }, "Labels"), h("th", { scope: "col", title: "The worker that has it: the last characters of its member id" }, "Owner"))), this.body);
    this.more = h("button.quiet.unfold", { type: "button", "aria-expanded": "false", onclick: () => this.flip() });
    this.empty = h("p.empty", {}, h("strong", {}, "No partition is known yet"), "They are looked at every two seconds.");
    this.host.append(this.empty);
    this.host.after(this.more);
    this.all = false;
    this.more.hidden = true;
  }

  flip() {
    this.all = !this.all;
    mark(this.more, "aria-expanded", String(this.all));
    if (this.lag) this.fill(this.lag);
  }

  update(store) {
    this.lag = store.parts.lag;
    if (!this.lag) return;
    const { partitions, workers } = this.lag;
    say(this.aside, partitions.length ? `${many(workers.length, "worker")}${workers.length ? `: ${workers.slice(0, 4).map((one) => `${one.name} has ${one.partitions}`).join(", ")}${workers.length > 4 ? ", …" : ""}` : ""}` : "");
    const shown = partitions.length ? this.table : this.empty;
    if (this.host.firstElementChild !== shown) this.host.replaceChildren(shown);
    this.fill(this.lag);
  }

  fill({ partitions }) {
    const tooMany = partitions.length > FEW;
    const rows = tooMany && !this.all ? [...partitions].sort((a, b) => b.turns - a.turns || a.partition - b.partition).slice(0, FEW) : partitions;
    this.more.hidden = !tooMany;
    say(this.more, this.all ? `Only the ${FEW} that wait most` : `All ${count(partitions.length)} partitions`);
    keyed(this.body, rows, (one) => one.partition, () => h("tr", {}, h("th.number", { scope: "row" }), h("td.number"), h("td", {}, spark([])), h("td.number"), h("td.mono")), (node, one) => {
      const [number, turns, trend, labels, owner] = node.children;
      say(number, String(one.partition));
      say(turns, count(one.turns));
      redraw(trend.firstElementChild, one.trend);
      say(labels, count(one.labels));
      say(owner, one.owner ?? NONE);
      mark(node, "data-level", one.owner === null ? "bad" : null);
    });
  }
}
