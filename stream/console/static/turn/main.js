// One turn, explained: what was decided and why, who carried it, what people said, and what today's ensemble would say.

import { bar, h, say } from "/static/live/dom.js";
import { count, figure, milliseconds, NONE, percent, signed } from "/static/live/format.js";

const LABELS = { safe: ["good", "safe"], needs_caution: ["warn", "needs caution"], unsafe: ["bad", "unsafe"] };
const STATUS = { ok: "voted", shadow: "shadow, no vote", timeout: "timed out", error: "failed", abstained: "abstained" };
const MOVED = 3; // experts whose weight a label moved most

const when = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });
const at = (text) => when.format(new Date(text));
const id = decodeURIComponent(location.pathname.slice("/turn/".length));
const part = (name) => document.getElementById(name);

function verdict(label) {
  const [level, text] = LABELS[label] ?? ["", label];
  return h(`span.tag${level ? `.${level}` : ""}`, {}, text);
}

function table(heads, rows) {
  return h(
    "table",
    {},
    h("thead", {}, h("tr", {}, ...heads.map(([name, kind]) => h(`th${kind ? `.${kind}` : ""}`, { scope: "col" }, name)))),
    h("tbody", {}, ...rows.map((cells) => h("tr", {}, ...cells.map((cell, place) => (place ? h(`td${heads[place][1] ? `.${heads[place][1]}` : ""}`, {}, cell) : h("th", { scope: "row" }, cell)))))),
  );
}

const place = (source) => h("code", {}, `${source.topic}[${source.partition}]@${source.offset}`);

function decision(told) {
  const risks = Object.entries(told.categories);
  const facts = [
    ["Score", figure(told.score, 4)],
    ["Policy", told.policy],
    ["Context", h("a", { href: `/?context=${encodeURIComponent(told.context)}` }, told.context)],
    ["Weights from", `${count(told.rounds)} labelled turns`],
    ["Scored", at(told.scored_at)],
    ["Latency", milliseconds(told.latency_ms)],
    ["Conversation", told.conversation_id],
    ["Likeliest risks", risks.length ? risks.map(([name, score]) => `${name} ${figure(score, 2)}`).join(", ") : "none of at least 0.1"],
    ["A label", `${told.asked ? "asked for" : "not asked for"}${told.ask_probability < 1 ? `, with a probability of ${percent(told.ask_probability)}` : ""}`],
    ["Turn stands at", place(told.source)],
    ["Verdict stands at", place(told.place)],
  ];
  part("decision").replaceChildren(
    h("p.why", {}, verdict(told.label), h("span", {}, told.why)),
    h("dl.facts", {}, ...facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
  );
}

function experts(told) {
  const most = Math.max(...told.experts.map((one) => one.contribution ?? 0), 0) || 1;
  part("experts").replaceChildren(
    table(
      [["Expert"], ["Then"], ["Score", "number"], ["Weight", "number"], ["Carried"], ["Today"], ["Weight today", "number"], ["Carries today", "number"]],
      told.experts.map((one) => [
        h("span", {}, one.name, h("span.muted", {}, `@${one.version}`)),
        STATUS[one.status] ?? one.status,
        figure(one.score),
        percent(one.weight),
        one.contribution === null ? NONE : bar(one.contribution / most, figure(one.contribution)),
        one.mode_now,
        one.mode_now === "votes" ? percent(one.weight_now) : NONE,
        figure(one.contribution_now),
      ]),
    ),
  );
  const { score, agrees } = told.recomputed;
  say(part("sum"), score === null ? "nobody was awake" : `weights times scores give ${figure(score, 4)}, ${agrees ? "as published" : "which is NOT what was published"}`);
}

function today(told) {
  const cut = (one) => (one ? `${figure(one.score, 2)}${one.calibrated ? ` (${figure(one.low, 2)} to ${figure(one.high, 2)})` : ""}` : NONE);
  const row = (name, one) => [name, one.policy, count(one.rounds), figure(one.score, 4), cut(one.caution), cut(one.unsafe), h("span", {}, verdict(one.label), one.changes ? " otherwise" : " as then")];
  const then = ["Then", told.policy, count(told.rounds), figure(told.score, 4), cut(told.thresholds?.caution), cut(told.thresholds?.unsafe), verdict(told.label)];
  part("today").replaceChildren(table([["When"], ["Policy"], ["Learned", "number"], ["Score", "number"], ["Caution from", "number"], ["Unsafe from", "number"], ["Label"]], [then, row("Today", told.now)]));
}

function labels(told) {
  const counts = (one) => (one === true ? "yes" : one === false ? "no: replaced, revoked or not read yet" : "not known");
  part("labels").replaceChildren(
    told.labels.length
      ? table([["Annotator"], ["Label"], ["Labelled"], ["The broker had it"], ["Counts"]], told.labels.map((one) => [one.annotator, verdict(one.label), at(one.labelled_at), at(one.received_at), counts(one.counts)]))
      : h("p.empty", {}, h("strong", {}, "Nobody has labelled it"), told.asked ? "A label was asked for." : "None was asked for."),
  );
}

function since(told) {
  const { taught } = told;
  say(part("since-aside"), taught ? `${count(taught.rounds)} labelled turns` : "");
  const moved = (one) => Object.entries(one.moved).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1])).slice(0, MOVED).map(([name, change]) => `${name.split("@")[0]} ${signed(change, 4)}`).join(", ");
  part("since").replaceChildren(
    taught?.turns
      ? table([["Turn"], ["Learned"], ["Annotators"], ["Labelled"], ["What it moved"]], taught.newest.map((one) => [h("a", { href: `/turn/${encodeURIComponent(one.turn_id)}` }, one.turn_id), verdict(one.label), one.annotators.join(", "), at(one.labelled_at), moved(one) || "nothing"]))
      : h("p.empty", {}, h("strong", {}, "No labelled turn of this context since"), "Its weights stand as they were."),
  );
}

function show(told) {
  decision(told);
  experts(told);
  today(told);
  labels(told);
  since(told);
  part("notes").replaceChildren(...told.notes.map((note) => h("li", {}, `Not known: ${note}.`)));
  part("state").hidden = true;
  part("told").hidden = false;
}

function fail(title, more) {
  part("state").replaceChildren(h("strong", {}, title), more);
}

document.title = `Turn ${id} · Aegis`;
say(part("turn-title"), `Turn ${id}`);
try {
  const answer = await fetch(`/api/explain/${encodeURIComponent(id)}`);
  const told = await answer.json();
  if (answer.ok) show(told);
  else fail(answer.status === 404 ? "No verdict of this turn was found" : "This turn could not be explained", told.error.message);
} catch {
  fail("The console does not answer", "Load this page again when it is back.");
}
