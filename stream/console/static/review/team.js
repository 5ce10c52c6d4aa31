// How far annotators agree, and the day of each.

import * as api from "/static/review/api.js";
import { LABELS, count, element } from "/static/review/view.js";

const OVERLAP = "Whoever runs the console can let a share of the turns go to two (aegis console --overlap 0.1).";
const ALPHA =
  "Same: when one says it, how often another does. Alpha (Krippendorff): 1 is full agreement, 0 what chance would give; " +
  "from 0.8 on it is called reliable, from 0.67 on enough for tentative conclusions.";
const PACE = "Pauses of over five minutes do not count as time at work. Nothing here is a race.";

const small = (textContent) => element("p", { className: "muted small", textContent });
const share = (value) => (value === null ? "–" : `${Math.round(value * 100)} %`);
const alpha = (value) => (value === null ? "–" : value.toFixed(2));

const number = (place) => (place === 0 ? {} : { className: "number" });

function table(caption, heads, rows) {
  const cell = (value, place) =>
    place === 0
      ? element("th", { scope: "row", textContent: value })
      : element("td", { className: "number", textContent: value });
  return element(
    "table",
    {},
    element("caption", { textContent: caption }),
    element(
      "thead",
      {},
      element("tr", {}, ...heads.map((textContent, place) => element("th", { scope: "col", ...number(place), textContent }))),
    ),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map(cell)))),
  );
}

function words(found) {
  const all = found.agreement.all;
  if (all.turns === 0) {
    return `No turn has been labelled by two people yet. ${OVERLAP}`;
  }
  const turns = `${count(all.turns)} ${all.turns === 1 ? "turn" : "turns"} with several votes`;
  return `On ${turns}, two people say the same in ${share(all.same)} of the cases.`;
}

export async function drawTeam(target, exports, mayExport) {
  exports.hidden = !mayExport;
  target.replaceChildren(element("p", { className: "muted", textContent: "Reading …" }));
  let found;
  try {
    found = await api.agreement();
  } catch (error) {
    target.replaceChildren(element("p", { textContent: error.message }));
    return;
  }
  const shown = [];
  if (found.agreement !== null) {
    shown.push(element("p", { textContent: words(found) }));
    const { all, classes } = found.agreement;
    if (all.turns > 0) {
      const row = (name, one) => [name, count(one.turns), share(one.same), alpha(one.alpha)];
      const rows = [...Object.entries(classes).map(([name, one]) => row(LABELS[name], one)), row("All", all)];
      shown.push(table("Agreement by label", ["Label", "Turns", "Same", "Alpha"], rows), small(ALPHA));
    }
  }
  if (found.annotators.length > 0) {
    const hourly = (one) => (one.hourly === null ? "–" : count(Math.round(one.hourly)));
    const rows = found.annotators.map((one) => [one.name, count(one.turns), hourly(one)]);
    shown.push(table("Today", ["Annotator", "Turns", "An hour at work"], rows), small(PACE));
  }
  target.replaceChildren(...shown);
}
