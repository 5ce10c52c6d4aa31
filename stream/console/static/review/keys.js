// The key of an event, by what it means: a letter as it is typed (a capital with Shift), a digit, or its name; null for
// one that is not ours. On a keyboard of another script the letter is that of the same place on a Latin one.

const OURS = new Set(["Enter", "Escape", "?"]);

function isTyping(target) {
  if (target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement) return true;
  return target instanceof HTMLInputElement && !["radio", "checkbox"].includes(target.type);
}

// Enter on a button presses that button, on a link follows it.
function hasOwnEnter(target) {
  return target instanceof Element && target.closest("button, a, summary, [role=button]") !== null;
}

export function keysOf(event, singleKeys) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return null;
  if (isTyping(event.target)) return null;
  if (event.key === "Enter" && (hasOwnEnter(event.target) || event.repeat)) return null;
  if (event.key === "Escape") return "Escape";
  if (!singleKeys && event.key !== "Enter") return null;
  if (OURS.has(event.key)) return event.key;
  if (/^[0-9]$/.test(event.key)) return event.key;
  const latin = /^[a-zA-Z]$/.test(event.key) ? event.key : /^Key[A-Z]$/.test(event.code) ? event.code[3] : "";
  if (latin === "") return null;
  return event.shiftKey ? latin.toUpperCase() : latin.toLowerCase();
}
