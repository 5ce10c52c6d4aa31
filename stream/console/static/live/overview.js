// The first second: is it well, what is wrong, and seven figures with how they moved.

import { h, keyed, mark, redraw, say, spark } from "./dom.js";
import { count, duration, many, milliseconds, NONE, percent, rate, time } from "./format.js";

const LEVELS = { bad: 2, warn: 1 };
const TITLES = {
  broker: "The broker is away",
  bad: "Needs attention",
  warn: "Worth a look",
  good: "All is well",
};
const sections = { partitions: "#partitions", latency: "#latency", alarms: "#alarms", experts: "#experts", letters: "#letters", broker: "#main" };

const SICK = 0.02; // of turns, as the server judges
const TILES = [
  { key: "traffic", name: "Turns", about: [], section: "#traffic" },
  { key: "lag", name: "Waiting", about: ["partitions"], section: "#partitions" },
  { key: "latency", name: "Latency, p99", about: ["latency"], section: "#latency" },
  { key: "unsafe", name: "Unsafe", about: [], section: "#mix" },
  { key: "regret", name: "Regret, of its bound", about: ["alarms"], section: "#alarms" },
  { key: "experts", name: "Experts", about: ["experts"], section: "#experts" },
  { key: "letters", name: "Dead letters", about: ["letters"], section: "#letters" },
];

export class Overview {
  constructor(root, announce) {
    this.verdict = root.querySelector("#verdict");
    this.title = root.querySelector("#health-title");
    this.findings = root.querySelector("#findings");
    this.tiles = root.querySelector("#tiles");
    this.away = root.querySelector("#away");
    this.announce = announce;
    this.told = new Set();
    keyed(this.tiles, TILES, (tile) => tile.key, tileNode, () => {});
  }

  update(store, range, connected) {
    const { broker, summary } = store.parts;
    this.banner(store, connected);
    if (!broker || !summary) return;
    const level = broker.state === "down" || broker.state === "no topics" || !connected ? "bad" : worst(summary);
    mark(this.verdict, "data-level", level);
    say(this.title, titleOf(broker, summary, level, connected));
    const findings = broker.state === "up" ? summary.findings : [];
    keyed(this.findings, findings.length ? findings : [calm(store, summary)], (one) => `${one.about}|${one.level}|${one.text.replace(/[\d.,]+/g, "")}`, findingNode, (node, one) => say(node.firstElementChild, one.text));
    this.hear(findings);
    for (const tile of TILES) this.fill(tile, store, range, findings);
  }

  /** New findings are read out once. */
  hear(findings) {
    const now = new Set(findings.map((one) => `${one.about}: ${one.text.replace(/[\d.,]+/g, "#")}`));
    const fresh = findings.filter((one) => !this.told.has(`${one.about}: ${one.text.replace(/[\d.,]+/g, "#")}`));
    if (fresh.length) this.announce(fresh.map((one) => one.text).join(". "));
    else if (this.told.size && !now.size) this.announce("All is well again");
    this.told = now;
  }

  /** What is away, said across the page: the console, the broker, or what is to be read. */
  banner(store, connected) {
    const { broker } = store.parts;
    const gone = connected && broker?.state === "down";
    const bare = connected && broker?.state === "no topics";
    this.away.hidden = connected && !gone && !bare;
    if (!connected) this.fillBanner("The console does not answer.", `What is shown is of ${store.now ? time(store.now) : "before"}. Trying again.`);
    else if (gone) this.fillBanner(`The broker at ${broker.address} is away`, `since ${time(broker.since)}: ${broker.reason}. What is shown is of before. Trying again every 2 s.`, `${duration(store.now - broker.since)} so far`);
    else if (bare) this.fillBanner("There is nothing to read yet.", broker.reason);
  }

  /** `more` changes every second: it is not read out each time. */
  fillBanner(title, rest, more = "") {
    if (!this.away.childElementCount) this.away.replaceChildren(h("strong"), h("span"), h("span.ago", { "aria-hidden": "true" }));
    [title, rest, more].forEach((text, place) => say(this.away.children[place], text));
  }

  fill(tile, store, range, findings) {
    const node = this.tiles.querySelector(`[data-key="${tile.key}"]`);
    const level = findings.filter((one) => tile.about.includes(one.about)).reduce((most, one) => (LEVELS[one.level] > (LEVELS[most] ?? 0) ? one.level : most), "");
    mark(node, "data-level", level || null);
    const sign = node.querySelector(".level");
    mark(sign, "class", `level state ${level}`);
    say(sign.firstElementChild, level === "bad" ? "needs attention" : level === "warn" ? "worth a look" : "");
    const { value, unit = "", note, values, share, dots } = figures[tile.key](store, range);
    say(node.querySelector(".value"), value);
    say(node.querySelector(".unit"), unit);
    say(node.querySelector(".note"), note);
    const line = node.querySelector(".spark");
    line.classList.toggle("none", !values);
    if (values) redraw(line, values, 120, 26, tile.key === "letters");
    const foot = node.querySelector(".foot");
    if (share !== undefined) fillBar(foot, share);
    else if (dots) fillDots(foot, dots);
    else foot.replaceChildren();
  }
}

const figures = {
  traffic(store, range) {
    const { summary } = store.parts;
    return { value: rate(summary.turns), unit: "/s", note: `${rate(summary.verdicts)} verdicts, ${rate(summary.labels)} labels`, values: means(store.series, "turns", store.window(range)) };
  },
  lag(store) {
    const { lag } = store.parts;
    if (!lag || !lag.partitions.length) return { value: NONE, note: "not known yet" };
    return { value: count(lag.turns), unit: lag.turns === 1 ? "turn" : "turns", note: lag.labels ? `and ${many(lag.labels, "label")}` : `${many(lag.workers.length, "worker")}, ${many(lag.partitions.length, "partition")}`, values: lag.trend };
  },
  latency(store, range) {
    const { summary } = store.parts;
    const [value, unit] = split(milliseconds(summary.p99));
    return { value, unit, note: summary.p50 === null ? "no verdict in the last minute" : `median ${milliseconds(summary.p50)}`, values: means(store.latency, "p99", store.window(range)) };
  },
  unsafe(store, range) {
    const { from, to } = store.window(range);
    const [safe, caution, unsafe] = ["safe", "needs_caution", "unsafe"].map((name) => store.series.sum(name, from, to));
    const all = safe + caution + unsafe;
    if (!all) return { value: NONE, note: `no verdict in ${duration(range)}` };
    const [value, unit] = split(percent(unsafe / all));
    const window = store.window(range);
    const values = shares(store.series, window);
    return { value, unit, note: `${percent(caution / all)} need caution`, values };
  },
  regret(store) {
    const [closest] = store.parts.summary.closest;
    if (!closest) return { value: NONE, note: "nothing learned yet" };
    if (closest.ratio <= 0) return { value: "0", unit: "%", note: `better than every expert, in ${many(store.parts.summary.bounded, "context")}`, share: 0 };
    const [value, unit] = split(percent(closest.ratio));
    return { value, unit, note: `at most, in ${closest.context}`, share: closest.ratio };
  },
  experts(store) {
    const { experts = [] } = store.parts;
    const asked = experts.filter((one) => one.turns > 0);
    if (!asked.length) return { value: NONE, note: "no verdict in 5 minutes" };
    const well = asked.filter((one) => one.timeout + one.error <= SICK).length;
    const shadows = asked.filter((one) => one.mode === "shadow").length;
    return { value: String(well), unit: `of ${asked.length} well`, note: shadows ? many(shadows, "shadow") : "all vote", dots: asked.map((one) => (one.timeout + one.error > 0.5 ? "bad" : one.timeout + one.error > SICK ? "warn" : "good")) };
  },
  letters(store, range) {
    const { letters } = store.parts;
    const to = Math.floor(store.now) + 1; // the one that came just now, too: it is a finding already
    const value = store.series.sum("letters", to - range, to);
    return { value: count(value), unit: `in ${range / 60} min`, note: letters?.reasons.length ? `most: ${letters.reasons[0].reason}` : "none so far", values: means(store.series, "letters", store.window(range)) };
  },
};

function means(series, name, { from, to, every }) {
  return series.means(name, from, to, every);
}

function shares(series, { from, to, every }) {
  const [safe, caution, unsafe] = ["safe", "needs_caution", "unsafe"].map((name) => series.means(name, from, to, every));
  return unsafe.map((value, place) => {
    const all = (safe[place] ?? 0) + (caution[place] ?? 0) + (value ?? 0);
    return all ? value / all : null;
  });
}

/** A figure and its unit. */
function split(text) {
  const place = text.lastIndexOf(" ");
  return place < 0 ? [text, ""] : [text.slice(0, place), text.slice(place + 1)];
}

function worst(summary) {
  if (!summary.known) return "off";
  return summary.findings.reduce((most, one) => (LEVELS[one.level] > (LEVELS[most] ?? 0) ? one.level : most), "good");
}

function titleOf(broker, summary, level, connected) {
  if (!connected) return "The console does not answer";
  if (broker.state === "down") return TITLES.broker;
  if (broker.state === "no topics") return "Topics are missing";
  if (broker.state === "connecting" || level === "off") return "Looking at the broker";
  return TITLES[level];
}

function calm(store, summary) {
  if (!store.parts.broker.filled) return { about: "calm", level: "off", text: "Reading the last 15 minutes" };
  if (!summary.known || store.parts.broker.state !== "up") return { about: "calm", level: "off", text: "Nothing is known yet" };
  const workers = store.parts.lag.workers.length;
  const waits = store.parts.lag.turns ? `${many(store.parts.lag.turns, "turn")} under way` : "nothing waits";
  return { about: "calm", level: "good", text: `${many(workers, "worker")} at work, ${waits}, regret within its bound` };
}

function findingNode(one) {
  const inside = sections[one.about] ? h("a", { href: sections[one.about] }) : h("span");
  return h(`li.state.${one.level === "good" ? "good" : one.level}`, {}, inside);
}

function tileNode(tile) {
  return h(
    "li.tile",
    {},
    h("a", { href: tile.section }, h("span.name", {}, tile.name, h("span.level.state", {}, h("span.hidden"))), h("span.figure", {}, h("span.value", {}, NONE), h("span.unit")), h("span.note", {}, " "), spark([], 120, 26), h("span.foot", { "aria-hidden": "true" })),
  );
}

function fillBar(foot, share) {
  if (!foot.querySelector(".bar")) foot.replaceChildren(h("span.bar", {}, h("i")));
  const bar = foot.firstElementChild;
  bar.classList.toggle("bad", share > 1);
  bar.firstElementChild.style.width = `${Math.min(Math.max(share, 0), 1) * 100}%`;
}

function fillDots(foot, dots) {
  const told = dots.join();
  if (foot.dataset.told === told && foot.childElementCount) return;
  foot.dataset.told = told;
  foot.replaceChildren(...dots.map((level) => h(`span.state.${level}`)));
}
