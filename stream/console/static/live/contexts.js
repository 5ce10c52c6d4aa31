// The list of contexts: only the rows in sight exist, and only their pages are asked for, so ten thousand are as quick
// as ten. Filter and order are the server's. Arrow keys move, Enter opens.

import { h, mark, say } from "./dom.js";
import { count, figure, NONE, percent, rate, short } from "./format.js";

const ROW = 34; // px, as in the style sheet
const PAGE = 100;
const EVERY = 2_000; // ms between two looks at the rows in sight
const KEPT = 12; // pages
const HEADS = ["Context", "Verdicts/s", "Unsafe", "Labels", "Loss", "Of bound", "Leads"];

export class Contexts {
  constructor(root, place, choose) {
    this.place = place;
    this.choose = choose;
    this.aside = root.querySelector("#contexts-count");
    this.filter = root.querySelector("#filter");
    this.order = root.querySelector("#sort");
    this.host = root.querySelector("#rows");
    this.pages = new Map();
    this.total = null;
    this.active = 0;
    this.version = -1;
    this.asked = 0;
    this.epoch = 0;
    this.pending = new Set();
    this.build();
    this.filter.value = place.get("q");
    this.order.value = place.get("sort");
    let typing = 0;
    this.filter.addEventListener("input", () => {
      clearTimeout(typing);
      typing = setTimeout(() => this.reset("q", this.filter.value), 150);
    });
    this.order.addEventListener("change", () => this.reset("sort", this.order.value));
  }

  build() {
    this.space = h("div.space", { role: "rowgroup" });
    this.grid = h(
      "div.grid-table",
      { role: "grid", "aria-label": "Contexts", "aria-colcount": HEADS.length, tabindex: "0", onkeydown: (event) => this.key(event), onfocus: () => this.paint() },
      h("div.head", { role: "rowgroup" }, h("div.tr", { role: "row", "aria-rowindex": "1" }, ...HEADS.map((name, place) => h(`span.c${place}`, { role: "columnheader" }, name)))),
      this.space,
    );
    this.empty = h("p.empty", { hidden: true });
    this.host.append(this.grid, this.empty);
    this.grid.addEventListener("scroll", () => this.paint(), { passive: true });
    new ResizeObserver(() => this.paint()).observe(this.grid);
  }

  reset(name, value) {
    this.place.set(name, value);
    this.epoch += 1;
    this.pages.clear();
    this.pending.clear();
    this.active = 0;
    this.grid.scrollTop = 0;
    this.load(0);
  }

  update(store) {
    const { summary } = store.parts;
    if (!summary) return;
    this.hidden = summary.hidden;
    const now = performance.now();
    if (summary.version === this.version || now - this.asked < EVERY) return;
    this.version = summary.version;
    this.asked = now;
    for (const page of this.insight()) this.load(page, true);
  }

  insight() {
    const first = Math.floor(this.grid.scrollTop / ROW);
    const last = first + Math.ceil((this.grid.clientHeight || 480) / ROW);
    const pages = [];
    for (let page = Math.floor(first / PAGE); page <= Math.floor(last / PAGE); page += 1) pages.push(page);
    return pages;
  }

  async load(page, again = false) {
    if (this.pending.has(page) || (!again && this.pages.has(page))) return;
    const epoch = this.epoch;
    this.pending.add(page);
    try {
      const asked = new URLSearchParams({ q: this.place.get("q"), sort: this.place.get("sort"), offset: page * PAGE, limit: PAGE });
      const answer = await fetch(`/api/live/contexts?${asked}`);
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      const { count: total, columns, rows } = await answer.json();
      if (epoch !== this.epoch) return;
      this.pages.delete(page);
      this.pages.set(page, rows.map((row) => Object.fromEntries(columns.map((name, place) => [name, row[place]]))));
      if (this.pages.size > KEPT) this.pages.delete(this.pages.keys().next().value);
      this.total = total;
      this.failed = false;
    } catch {
      if (epoch === this.epoch) this.failed = true; // told below; the next event tries again
    } finally {
      if (epoch === this.epoch) this.pending.delete(page);
    }
    this.paint();
  }

  row(index) {
    return this.pages.get(Math.floor(index / PAGE))?.[index % PAGE];
  }

  paint() {
    const total = this.total ?? 0;
    this.active = Math.min(this.active, Math.max(total - 1, 0));
    const filtered = this.place.get("q") !== "";
    this.empty.hidden = total > 0 && this.total !== null;
    this.grid.hidden = !this.empty.hidden;
    say(this.empty, this.failed ? "The list could not be read. It is asked for again." : this.total === null ? "Reading the contexts" : filtered ? `No context has “${this.place.get("q")}” in its name.` : "No context yet: one begins with the first turn of a tenant and role.");
    say(this.aside, this.total === null ? "" : `${count(total)}${filtered ? " found" : ""}${this.hidden ? `, ${short(this.hidden)} older ones not kept` : ""}`);
    mark(this.grid, "aria-rowcount", total + 1);
    this.space.style.height = `${total * ROW}px`;
    const first = Math.max(0, Math.floor(this.grid.scrollTop / ROW) - 4);
    const last = Math.min(total, first + Math.ceil(this.grid.clientHeight / ROW) + 8);
    const wanted = new Set();
    for (let index = first; index < last; index += 1) wanted.add(index);
    for (const node of [...this.space.children]) if (!wanted.has(Number(node.dataset.index))) node.remove();
    const known = new Map([...this.space.children].map((node) => [Number(node.dataset.index), node]));
    const missing = new Set();
    for (const index of wanted) {
      let node = known.get(index);
      if (node === undefined) this.space.append((node = this.make(index)));
      const row = this.row(index);
      if (row === undefined) missing.add(Math.floor(index / PAGE));
      this.fill(node, index, row);
    }
    if (total) mark(this.grid, "aria-activedescendant", `row-${this.active}`);
    for (const page of missing) this.load(page);
    const top = this.row(0);
    if (this.chosen === undefined && top !== undefined) this.choose(top.name, false);
  }

  make(index) {
    const node = h("div.tr", { role: "row", id: `row-${index}`, "aria-rowindex": index + 2, onclick: () => this.open(index, node) }, ...HEADS.map((_, place) => h(`span.c${place}`, { role: "gridcell" })));
    const [name, , , , , regret, leads] = node.children;
    name.append(h("i.flag", { "aria-hidden": "true" }), h("b"), " ", h("span"));
    regret.append(h("span.bar", { "aria-hidden": "true" }, h("i")), h("span.value"));
    leads.append(h("span.who"), h("span.value"));
    node.dataset.index = index;
    node.style.transform = `translateY(${index * ROW}px)`;
    return node;
  }

  fill(node, index, row) {
    node.classList.toggle("active", index === this.active);
    const [name, verdicts, unsafe, labels, loss, regret, leads] = node.children;
    if (row === undefined) {
      say(name.children[1], "…");
      return;
    }
    const cut = row.name.lastIndexOf("/");
    say(name.children[1], cut < 0 ? row.name : row.name.slice(0, cut));
    say(name.children[2], cut < 0 ? "" : row.name.slice(cut + 1));
    mark(name, "title", row.name);
    node.dataset.name = row.name;
    mark(node, "data-level", row.alarm ? "bad" : row.drift ? "warn" : null);
    mark(node, "aria-selected", String(row.name === this.chosen));
    say(verdicts, rate(row.rate));
    say(unsafe, row.verdicts ? percent(row.unsafe / row.verdicts) : NONE);
    say(labels, short(row.rounds));
    say(loss, figure(row.loss));
    const ratio = row.bound ? Math.max(row.regret / row.bound, 0) : null;
    regret.firstElementChild.firstElementChild.style.width = `${Math.min(ratio ?? 0, 1) * 100}%`;
    regret.firstElementChild.classList.toggle("bad", row.alarm);
    say(regret.lastElementChild, ratio === null ? NONE : percent(ratio));
    say(leads.firstElementChild, row.leader ? row.leader.split("@")[0] : NONE);
    say(leads.lastElementChild, row.leader ? percent(row.leads) : "");
  }

  /** Show which context is open. */
  select(name) {
    this.chosen = name;
    this.paint();
  }

  /** Open the context that the row shows, whatever is asked for meanwhile. */
  open(index, node = this.space.querySelector(`#row-${index}`)) {
    this.active = index;
    if (node?.dataset.name !== undefined) this.choose(node.dataset.name, true);
  }

  key(event) {
    const screen = Math.max(1, Math.floor(this.grid.clientHeight / ROW) - 2);
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: screen, PageUp: -screen, Home: -Infinity, End: Infinity };
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.open(this.active);
      return;
    }
    if (!(event.key in moves) || !this.total) return;
    event.preventDefault();
    this.active = Math.min(Math.max(this.active + moves[event.key], 0), this.total - 1);
    const top = this.active * ROW;
    const head = this.grid.firstElementChild.offsetHeight;
    const view = this.grid.clientHeight - head;
    if (top < this.grid.scrollTop) this.grid.scrollTop = top;
    else if (top + ROW > this.grid.scrollTop + view) this.grid.scrollTop = top + ROW - view;
    this.paint();
  }
}
