// Where the reader is: range, filter, order and context. In the address, so that it can be sent to somebody and survives
// a reload; the range also in the browser, as the reader's habit.

const RANGE = "aegis-range";
const KNOWN = { range: "300", q: "", sort: "-attention", context: "" };

function habit() {
  try {
    return localStorage.getItem(RANGE) ?? KNOWN.range;
  } catch {
    return KNOWN.range; // storage is forbidden
  }
}

export class Place {
  constructor() {
    const asked = new URLSearchParams(location.search);
    this.values = { ...KNOWN, range: habit() };
    for (const name of Object.keys(KNOWN)) if (asked.has(name)) this.values[name] = asked.get(name);
    if (!["60", "300", "900"].includes(this.values.range)) this.values.range = KNOWN.range;
  }

  get(name) {
    return this.values[name];
  }

  set(name, value) {
    if (this.values[name] === value) return;
    this.values[name] = value;
    const address = new URLSearchParams();
    for (const [key, known] of Object.entries(this.values)) if (known !== KNOWN[key] || key === "range") address.set(key, known);
    history.replaceState(null, "", `?${address}${location.hash}`);
    if (name !== "range") return;
    try {
      localStorage.setItem(RANGE, value);
    } catch {
      // as above
    }
  }
}
