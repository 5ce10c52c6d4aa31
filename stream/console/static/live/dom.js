// Nodes are made and changed by these alone. What others wrote (tenants, experts, reasons) only ever becomes text.

/** An element with attributes, properties given as functions' names (`onclick`), and children; strings become text. */
export function h(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const node = document.createElement(name);
  if (classes.length) node.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** Changes the text of a node if it is another: the browser lays out less, and a screen reader hears less. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Sets an attribute if it is another one; null takes it away. */
export function mark(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

/** Keeps one child of `parent` for every item, in order. `make(item)` gives a node, `update(node, item)` fills it. */
export function keyed(parent, items, key, make, update) {
  const known = new Map([...parent.children].map((node) => [node.dataset.key, node]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    let node = known.get(name);
    if (node === undefined) {
      node = make(item);
      node.dataset.key = name;
    } else known.delete(name);
    if (node === place) place = place.nextElementSibling;
    else parent.insertBefore(node, place);
    update(node, item);
  }
  for (const node of known.values()) node.remove();
}

const SVG = "http://www.w3.org/2000/svg";

/** A line as long as a word: values from left to right, nothing drawn where there is none. */
export function spark(values, width = 72, height = 20) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("class", "spark");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("preserveAspectRatio", "none");
  const path = document.createElementNS(SVG, "path");
  svg.append(path);
  redraw(svg, values, width, height);
  return svg;
}

/** The same line with other values; `bars`: a stroke for each value instead, for what happens now and then. */
export function redraw(svg, values, width = 72, height = 20, bars = false) {
  const top = Math.max(...values.filter((value) => value !== null), 0) || 1;
  const step = values.length > 1 ? width / (values.length - 1) : 0;
  const high = (value) => (height - 1.5 - (value / top) * (height - 3)).toFixed(1);
  let pen = "M";
  let d = "";
  values.forEach((value, place) => {
    const x = (place * step).toFixed(1);
    if (bars) d += value ? `M${x} ${height}V${high(value)}` : "";
    else if (value === null) pen = "M";
    else {
      d += `${pen}${x} ${high(value)}`;
      pen = "L";
    }
  });
  mark(svg.firstElementChild, "d", d);
}

/** A bar of 0 to 1, with the number beside it as text. */
export function bar(share, text, level = "") {
  const fill = h("i");
  fill.style.width = `${Math.min(Math.max(share || 0, 0), 1) * 100}%`;
  return h("span.meter", {}, h(`span.bar${level ? `.${level}` : ""}`, { "aria-hidden": "true" }, fill), h("span.value", {}, text));
}
