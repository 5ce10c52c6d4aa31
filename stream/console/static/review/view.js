// Draws turns and experts' opinions. What people wrote goes into the page as text, never as markup.

import { parts } from "/static/review/blur.js";
import { SHOWN } from "/static/review/risks.js";

export const ROLES = { user: "User", assistant: "Assistant", system: "System" };
export const LABELS = { safe: "Safe", needs_caution: "Needs caution", unsafe: "Unsafe" };
const STATUS = { timeout: "took too long", error: "failed", abstained: "had no opinion", shadow: "on trial, no vote" };
const WHY = {
  sampled: "the experts agreed on it",
  uncertain: "its score lies close to a threshold",
  disagreeing: "the experts disagreed",
  unscored: "no expert could score it",
};

export function element(tag, fields = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(fields)) {
    if (name === "className" || name === "textContent") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

// Draws a text, graphic words blurred unless `revealed`; returns how many are blurred when they are.
export function draw(target, text, revealed) {
  target.textContent = "";
  let blurred = 0;
  for (const [part, isBlurred] of parts(text)) {
    if (!isBlurred) {
      target.append(part);
      continue;
    }
    blurred += 1;
    if (revealed) {
      target.append(part);
    } else {
      target.append(
        element("span", { className: "veil", "aria-hidden": "true" }, part),
        element("span", { className: "hidden", textContent: " (blurred) " }),
      );
    }
  }
  return blurred;
}

// Draws the conversation; returns how many parts of it are blurred.
export function drawTurn(nodes, turn, revealed) {
  let blurred = 0;
  nodes.before.replaceChildren(
    ...turn.before.map((said) => {
      const text = element("div", { className: "text" });
      blurred += draw(text, said.text, revealed);
      return element("li", { className: `said ${said.role}` }, element("h3", { textContent: ROLES[said.role] }), text);
    }),
  );
  nodes.before.hidden = turn.before.length === 0;
  nodes.cut.hidden = !turn.is_cut;
  nodes.turn.className = `turn ${turn.role}`;
  nodes.title.textContent = ROLES[turn.role];
  const sent = new Date(turn.sent_at);
  const when = sent.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  nodes.meta.textContent = turn.tenant === "default" ? when : `${turn.tenant} · ${when}`;
  blurred += draw(nodes.text, turn.text, revealed);
  if (turn.text.trim() === "") {
    nodes.text.append(element("em", { className: "muted", textContent: "An empty message" }));
  }
  return blurred;
}

const percent = (share) => `${Math.round(share * 100)} %`;
const two = (score) => score.toFixed(2);

function bar(score) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "score");
  svg.setAttribute("viewBox", "0 0 100 8");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  for (const [name, width] of [
    ["track", 100],
    ["fill", Math.max(1, score * 100)],
  ]) {
    const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    rect.setAttribute("class", name);
    rect.setAttribute("width", String(width));
    rect.setAttribute("height", "8");
    svg.append(rect);
  }
  return svg;
}

function expertRow(one) {
  const name = element("th", { scope: "row", textContent: one.name });
  if (one.score === null) {
    const why = STATUS[one.status] ?? one.status;
    return element("tr", {}, name, element("td", { colspan: "3", className: "muted", textContent: why }));
  }
  const note = one.status === "ok" ? percent(one.weight) : STATUS[one.status] ?? one.status;
  return element(
    "tr",
    {},
    name,
    element("td", { className: "wide" }, bar(one.score)),
    element("td", { className: "number", textContent: two(one.score) }),
    element("td", { className: "number muted", textContent: note }),
  );
}

// One neutral sentence on the ensemble's label beside the annotator's.
export function compared(verdict, label) {
  if (verdict === null) return "What the experts said is not in the topic any more.";
  const score = verdict.score === null ? "" : `, at a score of ${two(verdict.score)}`;
  const said = `The experts together say ${LABELS[verdict.label].toLowerCase()}${score}`;
  return verdict.same ? `${said}: the same as you.` : `${said}; you say ${LABELS[label].toLowerCase()}.`;
}

// Draws what experts said of the turn that was voted on last; another one may be on the screen by now.
export function drawExperts(target, verdict, label, isOnScreen) {
  const title = isOnScreen ? "What the experts said" : "What the experts said of your last turn";
  const head = element("header", {}, element("h2", { id: "experts-title", textContent: title }));
  target.replaceChildren(head, element("p", { textContent: compared(verdict, label) }));
  if (verdict === null) return;
  const [className, textContent] = verdict.same ? ["tag", "same"] : ["tag differs", "differs"];
  head.append(element("span", { className, textContent }));
  const heads = ["Expert", "", "Score", "Weight"].map((name, place) =>
    name === ""
      ? element("td")
      : element("th", { scope: "col", className: place > 1 ? "number" : "", textContent: name }),
  );
  const rows = [...verdict.experts].sort((a, b) => b.weight - a.weight).map(expertRow);
  const table = element(
    "table",
    {},
    element("caption", { className: "hidden", textContent: "Scores from 0, safe, to 1, unsafe" }),
    element("thead", {}, element("tr", {}, ...heads)),
    element("tbody", {}, ...rows),
  );
  target.append(element("div", { className: "scroll" }, table));
  const risks = Object.entries(verdict.categories).map(([name, score]) => `${SHOWN.get(name)} ${two(score)}`);
  const note = (textContent) => target.append(element("p", { className: "small muted", textContent }));
  if (risks.length > 0) note(`Likeliest risks: ${risks.join(", ")}.`);
  const share = Math.round(1 / verdict.ask_probability);
  const asked = share > 1 ? `one in ${share} such turns is asked for` : "every such turn is asked for";
  note(`Why you were asked: ${WHY[verdict.why]}, and ${asked}.`);
}

export function span(ms) {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 1) return "under a minute";
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h`;
  return `${Math.floor(minutes / 1440)} days`;
}

export const count = (number) => number.toLocaleString();
