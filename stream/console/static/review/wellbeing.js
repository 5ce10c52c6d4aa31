// How hard the last turns were, and for how long somebody has been at it: for this tab alone, sent nowhere.

import { prefs } from "/static/review/prefs.js";

const KEY = "aegis-review-streak";
const MINUTE = 60_000;

let severe = 0;
let since = Date.now();
try {
  severe = Number(sessionStorage.getItem(KEY)) || 0;
} catch {
  // no storage: counted from the page's start
}

function keep() {
  try {
    sessionStorage.setItem(KEY, String(severe));
  } catch {
    // as above
  }
}

// A vote was saved; the reason for which a pause is suggested now, or null.
export function noted(label) {
  severe = label === "unsafe" ? severe + 1 : 0;
  keep();
  if (prefs.severe > 0 && severe > 0 && severe % prefs.severe === 0) return `The last ${severe} turns were unsafe.`;
  const minutes = Math.floor((Date.now() - since) / MINUTE);
  if (prefs.minutes > 0 && minutes >= prefs.minutes) {
    since = Date.now();
    return `You have labelled for ${minutes} minutes.`;
  }
  return null;
}

export function rested() {
  severe = 0;
  since = Date.now();
  keep();
}

export const streak = () => severe;
