// The live page: events come in once a second, every part draws what has changed of it.

import { Alarms } from "./alarms.js";
import { Context } from "./context.js";
import { Contexts } from "./contexts.js";
import { mark, say } from "./dom.js";
import { Experts } from "./experts.js";
import { Feed } from "./feed.js";
import { Letters } from "./letters.js";
import { Overview } from "./overview.js";
import { Partitions } from "./partitions.js";
import { Place } from "./place.js";
import { Store } from "./store.js";
import { Traffic } from "./traffic.js";

const WORDS = { live: ["good", "live"], lost: ["bad", "not connected"], paused: ["off", "paused"] };

const root = document.getElementById("main");
const place = new Place();
const store = new Store();
const said = document.getElementById("announce");
const overview = new Overview(root, (text) => say(said, text));
const traffic = new Traffic(root);
const experts = new Experts(root);
const partitions = new Partitions(root);
const letters = new Letters(root);
const choose = (name, asked) => {
  if (asked) place.set("context", name);
  contexts.select(name);
  context.open(name, asked);
};
const alarms = new Alarms(root, choose);
const context = new Context(root, () => experts.names);
const contexts = new Contexts(root, place, choose);

let connected = true;
let paused = false;
const range = () => Number(place.get("range"));

// Each part draws what has changed of it. They take turns: no task may hold up a key or a scroll.
const FRAME = 8; // ms for them in one frame
const parts = [
  () => overview.update(store, range(), connected),
  ...traffic.parts.map((part) => () => part(store, range())),
  () => experts.update(store, range()),
  () => partitions.update(store),
  () => letters.update(store),
  () => alarms.update(store),
  () => contexts.update(store),
  () => context.update(store),
];
let waiting = [];
let asked = false;

function draw() {
  asked = false;
  const began = performance.now();
  while (waiting.length && performance.now() - began < FRAME) waiting.shift()();
  if (waiting.length) next();
}

function next() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(draw);
}

/** All parts, once more; events that came meanwhile are drawn together. What is away is said also while paused. */
function later() {
  if (document.hidden || waiting.length) return;
  waiting = paused ? [() => overview.banner(store, connected)] : store.now ? [...parts] : parts.slice(0, 1);
  next();
}

const feedState = document.getElementById("feed");
function tell(word) {
  const [level, text] = WORDS[paused && word === "live" ? "paused" : word];
  mark(feedState, "class", `feed state ${level}`);
  say(feedState, text);
}

const feed = new Feed(
  (data, whole) => {
    store.take(data, whole);
    later();
  },
  (word) => {
    connected = word === "live";
    tell(word);
    if (!connected) later();
  },
);

const segments = document.getElementById("range");
function press() {
  for (const button of segments.children) mark(button, "aria-pressed", String(button.dataset.range === place.get("range")));
}
segments.addEventListener("click", (event) => {
  const chosen = event.target.closest("button")?.dataset.range;
  if (!chosen) return;
  place.set("range", chosen);
  press();
  waiting = [];
  const was = paused;
  paused = false; // what a reader chose is shown also while nothing new is
  later();
  paused = was;
});
press();

const pause = document.getElementById("pause");
pause.addEventListener("click", () => {
  paused = !paused;
  say(pause, paused ? "Go on" : "Pause");
  tell(connected ? "live" : "lost");
  later();
});
document.addEventListener("visibilitychange", later);
if (place.get("context")) choose(place.get("context"), false);
feed.start();
