// The review page: one turn at a time, everything by keys. What happens is a phase: `loading`, `labelling`, `after` (a
// vote is saved, and the experts are shown), `empty`, `resting`.

import * as api from "/static/review/api.js";
import { load } from "/static/review/blur.js";
import { keysOf } from "/static/review/keys.js";
import { prefs } from "/static/review/prefs.js";
import { BY_KEY, CRITICAL, FINE, SHOWN, isFine } from "/static/review/risks.js";
import { chips, settings } from "/static/review/setup.js";
import { drawTeam } from "/static/review/team.js";
import { LABELS, ROLES, compared, count, drawExperts, drawTurn, element, span } from "/static/review/view.js";
import * as wellbeing from "/static/review/wellbeing.js";

const POLL_MS = 5_000;
const STREAK_SHOWN = 3;
const UNSAVED = "Your last vote is not saved. It is still here: Enter tries again.";

const by = (id) => document.getElementById(id);
const nodes = {
  root: by("review"), desk: by("desk"), before: by("before"), cut: by("cut"), turn: by("turn"), title: by("turn-title"),
  meta: by("turn-meta"), text: by("text"), vote: by("vote"), after: by("after"),
};
const choices = [...nodes.vote.querySelectorAll("input[name=label]")];

let phase = "loading";
let turn = null; // what is on the screen
let last = null; // the vote saved last: {turn, label, categories}
let revealed = false;
let busy = false;
let running = Promise.resolve(); // what was attempted last
let givenBack = running; // at the last pause
let pauses = 0;
let unsaved = false; // a vote could not be saved, and is still on the screen
let state = { waiting: 0, trouble: null, may_export: false };

// ---- what is shown

function show(name) {
  phase = name;
  nodes.root.dataset.phase = name;
  nodes.desk.hidden = !["labelling", "after"].includes(name);
  nodes.vote.hidden = name !== "labelling";
  nodes.after.hidden = name !== "after";
  by("empty").hidden = name !== "empty";
  by("rest").hidden = name !== "resting";
  by("open-rest").hidden = name === "resting";
}

const say = (text) => {
  by("status").textContent = text;
};

function trouble(text) {
  by("trouble").hidden = text === null;
  if (text !== null && by("trouble-text").textContent !== text) by("trouble-text").textContent = text;
}

function drawText() {
  const blurred = drawTurn(nodes, turn, revealed);
  const reveal = by("reveal");
  reveal.hidden = blurred === 0;
  reveal.setAttribute("aria-pressed", String(revealed));
  const what = prefs.blur === "all" ? "the text" : blurred === 1 ? "1 blurred word" : `${blurred} blurred words`;
  by("reveal-text").textContent = revealed ? "Blur again" : `Show ${what}`;
}

function drawChoice() {
  const label = chosen();
  const names = label === "needs_caution" || label === "unsafe";
  by("risks").hidden = !names;
  if (!names) for (const box of boxes()) box.checked = false;
  by("save").disabled = label === null;
  inSight();
}

function openFine(open) {
  by("fine").hidden = !open;
  if (turn !== null) inSight();
  by("more").setAttribute("aria-expanded", String(open));
}

function drawLast() {
  const isChange = turn !== null && turn.vote !== null;
  by("back").hidden = last === null;
  by("back-text").textContent = isChange ? "Earlier vote" : "Change last vote";
  by("skip").hidden = isChange;
  by("last").textContent = last !== null && prefs.after === "on" ? `Saved: ${LABELS[last.label].toLowerCase()}` : "";
}

function drawState() {
  const facts = [];
  if (state.reading) facts.push("Reading the topics …");
  facts.push(`${count(state.waiting)} waiting`);
  if (state.oldest_ms !== null && state.oldest_ms !== undefined) facts.push(`oldest ${span(state.oldest_ms)}`);
  if (state.today) {
    facts.push(`you: ${count(state.today.turns)} today`);
    if (state.today.hourly !== null) facts.push(`${count(Math.round(state.today.hourly))} an hour`);
  }
  if (state.dropped > 0) facts.push(`${count(state.dropped)} dropped: the queue was full`);
  if (state.expired > 0) facts.push(`${count(state.expired)} too old to be learned`);
  if (state.gone > 0) facts.push(`${count(state.gone)} whose text is gone`);
  by("facts").replaceChildren(...facts.map((fact) => element("span", { textContent: fact })));
  const severe = wellbeing.streak();
  by("streak").hidden = severe < STREAK_SHOWN;
  by("streak").textContent = `${severe} unsafe in a row`;
}

// ---- turns

function take(shown) {
  turn = shown;
  revealed = false;
  const vote = turn.vote;
  by("correcting").hidden = vote === null;
  by("experts").hidden = true;
  by("experts").replaceChildren();
  for (const choice of choices) choice.checked = vote !== null && choice.value === vote.label;
  for (const box of boxes()) box.checked = vote !== null && vote.categories.includes(box.value);
  openFine(vote !== null && vote.categories.some(isFine));
  show("labelling");
  drawText();
  drawLast();
  scrollTo({ top: 0, behavior: "instant" });
  drawChoice();
  nodes.turn.focus({ preventScroll: true });
  const from = `Next turn, from the ${ROLES[turn.role].toLowerCase()}.`;
  say(vote === null ? from : `Your vote was ${LABELS[vote.label].toLowerCase()}. You can change it.`);
}

// However much was said before the turn, and however tall the bar is, the turn is seen: its end, or of one that is taller
// than the room above the bar, its beginning.
function inSight() {
  const bar = nodes.vote.hidden ? nodes.after : nodes.vote;
  const room = innerHeight - bar.offsetHeight - 16;
  const top = nodes.turn.getBoundingClientRect().top;
  const last = by("reveal").hidden ? nodes.turn : by("reveal");
  const over = Math.min(last.getBoundingClientRect().bottom - room, top - 12);
  if (over > 0) scrollBy({ top: over, behavior: "instant" });
}

function nothing(reading) {
  turn = null;
  show("empty");
  by("empty-title").textContent = reading ? "Reading the topics" : "Nothing waits for you";
  by("empty-text").textContent = reading
    ? "The labels of the last days are read first, so that nobody is asked twice."
    : "New turns appear here by themselves.";
  by("empty-back").hidden = last === null;
  by("empty-title").focus();
  say(by("empty-title").textContent);
}

// One thing at a time; what fails is said, and can be tried again. `work` can ask whether somebody pauses meanwhile: then
// nothing of it is shown.
function attempt(work, isVote = false) {
  if (!busy) running = doing(work, isVote);
  return running;
}

async function doing(work, isVote) {
  const before = pauses;
  busy = true;
  nodes.root.setAttribute("aria-busy", "true");
  try {
    await work(() => pauses !== before);
    unsaved = false;
    if (state.trouble === null) trouble(null);
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    unsaved = isVote;
    trouble(isVote ? `${error.message} ${UNSAVED}` : error.message);
  } finally {
    busy = false;
    nodes.root.removeAttribute("aria-busy");
  }
}

async function fetchNext(isPaused) {
  const found = await api.next();
  if (isPaused()) return;
  if (found.turn !== null) take(found.turn);
  else nothing(found.why === "reading");
}

const goOn = () => attempt(fetchNext);

// First what the pause gives back, which the next turn must not be.
const resume = () => givenBack.then(goOn);

const chosen = () => choices.find((choice) => choice.checked)?.value ?? null;
const boxes = () => [...by("risks").querySelectorAll("input")];

function save() {
  const label = chosen();
  if (phase !== "labelling") return;
  if (label === null) {
    say("Choose safe, needs caution or unsafe first.");
    return;
  }
  const categories = boxes().filter((box) => box.checked).map((box) => box.value);
  attempt(async (isPaused) => {
    const voted = turn;
    const answer = await api.vote(voted.turn, label, categories);
    last = { turn: voted.turn, label, categories };
    const pause = answer.changed && voted.vote === null ? wellbeing.noted(label) : null;
    refresh();
    if (isPaused()) return;
    if (prefs.after === "on") await fetchNext(isPaused);
    else await showAfter();
    if (pause !== null) nudge(pause);
  }, true);
}

async function showAfter() {
  show("after");
  const risks = last.categories.map((name) => SHOWN.get(name)).join(", ");
  by("after-text").replaceChildren(
    element("strong", { textContent: `Saved: ${LABELS[last.label].toLowerCase()}` }),
    risks ? ` · ${risks}` : "",
  );
  by("correcting").hidden = true;
  await showExperts();
  const experts = by("experts");
  experts.scrollIntoView({ block: "nearest", behavior: "instant" });
  by("go-on").focus({ preventScroll: true });
}

async function showExperts() {
  const { verdict } = await api.experts(last.turn);
  const experts = by("experts");
  drawExperts(experts, verdict, last.label, turn?.turn === last.turn);
  experts.hidden = false;
  say(`You said ${LABELS[last.label].toLowerCase()}. ${compared(verdict, last.label)}`);
}

function skip() {
  if (turn.vote !== null) return leave();
  const skipped = turn;
  return attempt(async (isPaused) => {
    await api.skip(skipped.turn);
    if (!isPaused()) await fetchNext(isPaused);
  });
}

// The last vote, or the one before the vote that is being looked at.
function back() {
  const before = phase === "labelling" && turn?.vote ? turn.turn : null;
  attempt(async (isPaused) => {
    const found = await api.back(before);
    if (isPaused()) return;
    if (found.turn !== null) take(found.turn);
    else say("There is no earlier vote of this session.");
  });
}

function rest() {
  pauses += 1;
  show("resting");
  turn = null;
  nodes.text.textContent = "";
  nodes.before.replaceChildren();
  wellbeing.rested();
  drawState();
  by("rest-title").focus();
  givenBack = running.then(() => attempt(api.rest));
}

function nudge(why) {
  by("nudge-text").textContent = `${why} A few minutes away help more than pushing on. Your work is saved.`;
  by("nudge").showModal();
}

function toggleReveal() {
  if (turn === null || by("reveal").hidden) return;
  revealed = !revealed;
  drawText();
  say(revealed ? "The text is shown." : "The text is blurred.");
}

function choose(label) {
  for (const choice of choices) choice.checked = choice.value === label;
  drawChoice();
  say(`${LABELS[label]}.`);
}

// By its own key, which nobody presses on the way to another label, as one does with arrows.
function chooseByKey(label) {
  choose(label);
  // So that Enter saves, whatever button was pressed last.
  choices.find((choice) => choice.checked).focus({ preventScroll: true });
  if (label === "safe" && prefs.quick === "on") save();
}

function toggleRisk(name) {
  if (by("risks").hidden) {
    say("Choose needs caution or unsafe first.");
    return;
  }
  if (isFine(name)) openFine(true);
  const box = boxes().find((one) => one.value === name);
  box.checked = !box.checked;
  say(`${SHOWN.get(name)}, ${box.checked ? "chosen" : "not chosen"}.`);
}

// ---- state

async function refresh() {
  try {
    state = await api.state();
    if (!busy) trouble(state.trouble ?? (unsaved ? UNSAVED : null));
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    state = { ...state, trouble: error.message };
    trouble(error.message);
  }
  drawState();
  const waits = phase === "empty" && state.waiting > 0;
  if (state.trouble === null && !busy && (waits || phase === "loading")) goOn();
}

// ---- keys and buttons

const toggleFine = () => openFine(by("fine").hidden);
const actions = {
  labelling: { Enter: save, n: skip, z: back, b: toggleReveal, p: rest, l: toggleFine, e: peek, Escape: leave },
  after: { Enter: goOn, n: goOn, z: back, b: toggleReveal, p: rest, e: () => by("experts").scrollIntoView() },
  empty: { z: back, p: rest, Enter: goOn },
  resting: { Enter: resume },
  loading: {},
};
const LABEL_KEYS = { 1: "safe", s: "safe", 2: "needs_caution", c: "needs_caution", 3: "unsafe", u: "unsafe" };

function leave() {
  if (turn?.vote) goOn();
}

function peek() {
  if (last !== null && prefs.after === "on") attempt(showExperts);
}

function pressed(event) {
  const key = keysOf(event, prefs.keys === "on");
  if (key === null) return;
  const open = document.querySelector("dialog[open]");
  if (open !== null) {
    if (open.id === "nudge" && key === "p") nudged(rest);
    return;
  }
  if (key === "?") by("help").showModal();
  else if (phase === "labelling" && key in LABEL_KEYS) chooseByKey(LABEL_KEYS[key]);
  else if (key in actions[phase]) actions[phase][key]();
  else if (phase === "labelling" && BY_KEY.has(key)) toggleRisk(BY_KEY.get(key));
  else return;
  event.preventDefault();
}

function nudged(then) {
  by("nudge").close();
  then?.();
}

function applied() {
  nodes.root.dataset.size = prefs.size;
  nodes.root.dataset.keys = prefs.keys;
  drawLast();
  if (turn !== null) drawText();
}

// After a dialog: not on the button that opened it, which Enter would press again.
function refocus() {
  if (phase === "labelling") nodes.turn.focus({ preventScroll: true });
  else if (phase === "after") by("go-on").focus({ preventScroll: true });
}

function wire() {
  chips(by("critical"), by("risk-keys"), CRITICAL);
  chips(by("fine"), by("risk-keys"), FINE);
  nodes.vote.addEventListener("submit", (event) => {
    event.preventDefault();
    save();
  });
  for (const choice of choices) choice.addEventListener("change", () => choose(choice.value));
  const clicks = {
    skip, back, reveal: toggleReveal, change: back, "go-on": goOn, resume, "empty-back": back, "leave-it": leave,
    "open-rest": rest, more: toggleFine, "nudge-rest": () => nudged(rest), "nudge-on": () => nudged(),
    "open-help": () => by("help").showModal(), "open-settings": () => by("settings").showModal(),
    "open-team": () => {
      by("team").showModal();
      drawTeam(by("team-body"), by("exports"), state.may_export);
    },
  };
  for (const [id, work] of Object.entries(clicks)) by(id).addEventListener("click", work);
  for (const dialog of document.querySelectorAll("dialog")) dialog.addEventListener("close", refocus);
  document.addEventListener("keydown", pressed);
  addEventListener("beforeunload", (event) => {
    if (busy) event.preventDefault();
  });
}

wire();
settings(applied);
applied();
await load();
await refresh();
setInterval(refresh, POLL_MS);
