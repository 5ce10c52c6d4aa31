// How far annotators agree, and the day of each.

import * as api from "/static/review/api.js";
import { LABELS, count, element } from "/static/review/view.js";

const share = (value) => (value === null ? "–" : `${Math.round(value * 100)} %`);
const alpha = (value) => (value === null ? "–" : value.toFixed(2));

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
      element("tr", {}, ...heads.map((head, place) => element("th", { scope: "col", className: place ? "number" : "", textContent: head }))),
    ),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map(cell)))),
  );
}

function words(found) {
  const all = found.agreement.all;
  if (all.turns === 0) {
    return "No turn has been labelled by two people yet. Whoever runs the console can let a share of the turns go to two (aegis console --overlap 0.1).";
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
    if (found.agreement.all.turns > 0) {
      const rows = Object.entries(found.agreement.classes).map(([name, one]) => [LABELS[name], count(one.turns), share(one.same), alpha(one.alpha)]);
      const all = found.agreement.all;
      rows.push(["All", count(all.turns), share(all.same), alpha(all.alpha)]);
      shown.push(table("Agreement by label", ["Label", "Turns", "Same", "Alpha"], rows));
      shown.push(
        element("p", {
          className: "muted small",
          textContent:
            "Same: when one says it, how often another does. Alpha (Krippendorff): 1 is full agreement, 0 what chance would give; from 0.8 on it is called reliable, from 0.67 on enough for tentative conclusions.",
        }),
      );
    }
  }
  if (found.annotators.length > 0) {
    const rows = found.annotators.map((one) => [one.name, count(one.turns), one.hourly === null ? "–" : count(Math.round(one.hourly))]);
    shown.push(table("Today", ["Annotator", "Turns", "An hour at work"], rows));
    shown.push(element("p", { className: "muted small", textContent: "Pauses of over five minutes do not count as time at work. Nothing here is a race." }));
  }
  target.replaceChildren(...shown);
}
