// What is made once, when the page opens: a box for each risk, and the fields of the settings.

import { prefs, set } from "/static/review/prefs.js";
import { element } from "/static/review/view.js";

// Boxes for risks, each with its key, and the same in the list of keys.
export function chips(target, keys, risks) {
  for (const [name, shown, key] of risks) {
    const hint = key === key.toUpperCase() ? `⇧${key}` : key;
    const box = element("input", { type: "checkbox", value: name });
    const word = element("span", { textContent: shown });
    const cap = element("kbd", { "aria-hidden": "true", textContent: hint });
    target.append(element("label", { className: "chip" }, box, word, cap));
    const term = element("dt", {}, element("kbd", { textContent: hint }));
    keys.append(element("div", {}, term, element("dd", { textContent: shown })));
  }
}

// Fields that show and change how the annotator likes the page; `applied` is called after each change.
export function settings(applied) {
  for (const field of document.querySelectorAll("[data-pref]")) {
    field.value = prefs[field.dataset.pref];
    field.addEventListener("change", () => {
      set(field.dataset.pref, field.value);
      field.value = prefs[field.dataset.pref];
      applied();
    });
  }
}
