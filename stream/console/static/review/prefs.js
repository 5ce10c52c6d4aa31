// How an annotator likes the page: kept in this browser, or for as long as the page is open where storage is forbidden.

const KEY = "aegis-review";
const DEFAULTS = {
  blur: "words",
  own: "",
  after: "show",
  quick: "off",
  size: "normal",
  severe: 8,
  minutes: 45,
  keys: "on",
};

function stored() {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return typeof found === "object" && found !== null ? found : {};
  } catch {
    return {};
  }
}

export const prefs = { ...DEFAULTS };
for (const [name, value] of Object.entries(stored())) {
  if (typeof value === typeof DEFAULTS[name]) prefs[name] = value;
}

export function set(name, value) {
  prefs[name] = typeof DEFAULTS[name] === "number" ? Math.max(0, Math.trunc(Number(value) || 0)) : String(value);
  try {
    localStorage.setItem(KEY, JSON.stringify(prefs));
  } catch {
    // as above
  }
}
