// Which words of a text are blurred. The list is read once; words of an annotator's own come from the settings.

import { prefs } from "/static/review/prefs.js";

const LIST = "/static/review/blur-words.txt";
const LONGEST = 64; // letters of a word that are looked at
const WORD = /[\p{L}\p{M}\p{N}'’]+/gu;

const turned = (text) =>
  text.replace(/[a-z]/g, (letter) => String.fromCharCode(((letter.charCodeAt(0) - 97 + 13) % 26) + 97));

let shipped = [];

export async function load() {
  const lines = (await (await fetch(LIST)).text()).split("\n");
  shipped = lines.map((line) => turned(line.trim())).filter((line) => line && !line.startsWith("#"));
}

// A matcher of words: exact ones, and beginnings of those that end with a star.
function matcher() {
  const own = prefs.own
    .split(",")
    .map((word) => word.trim().toLowerCase())
    .filter(Boolean);
  const exact = new Set();
  const beginnings = new Set();
  for (const word of [...shipped, ...own]) {
    if (word.endsWith("*")) beginnings.add(word.slice(0, -1));
    else exact.add(word);
  }
  return (word) => {
    const plain = word.normalize("NFKC").toLowerCase().slice(0, LONGEST);
    if (exact.has(plain)) return true;
    for (let end = 1; end <= plain.length; end += 1) if (beginnings.has(plain.slice(0, end))) return true;
    return false;
  };
}

// The parts of a text in their order, as [text, is blurred].
export function parts(text) {
  if (prefs.blur === "off" || text === "") return [[text, false]];
  if (prefs.blur === "all") return [[text, true]];
  const isGraphic = matcher();
  const found = [];
  let done = 0;
  for (const { 0: word, index } of text.matchAll(WORD)) {
    if (!isGraphic(word)) continue;
    if (index > done) found.push([text.slice(done, index), false]);
    found.push([word, true]);
    done = index + word.length;
  }
  if (done < text.length) found.push([text.slice(done), false]);
  return found;
}
