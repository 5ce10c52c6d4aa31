// Dead letters by their reason, and where the newest ones came from: a command away from being looked at and mended.

import { bar, h, keyed, say } from "./dom.js";
import { count, many, moment } from "./format.js";

const NEWEST = 6;

export class Letters {
  constructor(root) {
    this.host = root.querySelector("#letters .letters");
    this.aside = root.querySelector("#letters-aside");
    this.reasons = h("ul.reasons", { "aria-label": "By reason" });
    this.newest = h("tbody");
    this.full = h(
      "div",
      {},
      this.reasons,
      h("div.scroll", { tabindex: "0", role: "region", "aria-label": "The newest dead letters" }, h("table.fixed", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "When"), h("th", { scope: "col" }, "Why"), h("th", { scope: "col" }, "Source"))), this.newest)),
      h("p.hint.small.muted", {}, "Look at one: ", h("code", {}, "aegis dead-letters show PLACE"), ". Its text is not shown here."),
    );
    this.empty = h("p.empty", {}, h("strong", {}, "No dead letters"), "Every message could be used.");
    this.host.append(this.empty);
  }

  update(store) {
    const { letters } = store.parts;
    if (!letters) return;
    const total = letters.reasons.reduce((sum, one) => sum + one.count, 0);
    const shown = total ? this.full : this.empty;
    if (this.host.firstElementChild !== shown) this.host.replaceChildren(shown);
    say(this.aside, total ? `${many(total, "letter")} read` : "");
    keyed(this.reasons, letters.reasons, (one) => one.reason, (one) => h("li", {}, h("span.title", {}, one.reason), h("span")), (node, one) => {
      const text = count(one.count);
      if (node.dataset.text === `${text}/${total}`) return;
      node.dataset.text = `${text}/${total}`;
      node.lastElementChild.replaceChildren(bar(one.count / letters.reasons[0].count, text, "warn"));
    });
    keyed(this.newest, letters.newest.slice(0, NEWEST), (one) => one.place, () => h("tr", {}, h("td"), h("td"), h("td.mono")), (node, one) => {
      const [when, why, source] = node.children;
      say(when, moment(one.at, store.now));
      if (why.childElementCount !== 2) why.replaceChildren(h("span.title"), h("span.detail"));
      say(why.firstElementChild, one.reason);
      say(why.lastElementChild, one.detail);
      why.title = one.detail;
      say(source, `${one.topic}[${one.partition}]@${one.offset}`);
      source.title = `Dead letter ${one.place}`;
    });
  }
}
