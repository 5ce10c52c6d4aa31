// What is known of the stream: the server's snapshot, and every event after it laid over it.

const SPAN = 900;

/** Columns over time that begin at `start` and have a value every `step` (seconds). */
class Series {
  constructor(step) {
    this.step = step;
    this.start = 0;
    this.length = 0;
    this.columns = new Map();
  }

  /** Lay `columns`, which begin at `start`, over what is there; nothing older than SPAN stays. */
  lay(start, columns) {
    const names = Object.keys(columns);
    if (!names.length) return;
    const fresh = Math.max(...names.map((name) => columns[name].length));
    if (!this.length || start < this.start) this.reset(start);
    const place = (start - this.start) / this.step;
    const length = Math.max(this.length, place + fresh);
    for (const name of names) if (!this.columns.has(name)) this.columns.set(name, []);
    const gone = Math.max(0, length - SPAN / this.step);
    for (const [name, values] of this.columns) {
      while (values.length < length) values.push(null);
      const laid = columns[name] ?? [];
      const from = place + fresh - laid.length;
      laid.forEach((value, index) => (values[from + index] = value));
      values.splice(0, gone);
    }
    this.length = length - gone;
    this.start += gone * this.step;
  }

  reset(start) {
    this.start = start;
    this.length = 0;
    for (const values of this.columns.values()) values.length = 0;
  }

  get end() {
    return this.start + this.length * this.step;
  }

  /** The mean of a column in steps of `every` seconds, from `from` to before `to`; null where nothing is known. */
  means(name, from, to, every) {
    const values = this.columns.get(name) ?? [];
    const found = [];
    for (let at = from; at < to; at += every) {
      let sum = 0;
      let known = 0;
      const last = Math.min(at + every, to);
      for (let second = at; second < last; second += this.step) {
        const value = values[(second - this.start) / this.step];
        if (value !== null && value !== undefined) {
          sum += value;
          known += 1;
        }
      }
      found.push(known ? sum / known : null);
    }
    return found;
  }

  /** As many sums as there are steps. */
  sum(name, from, to) {
    const values = this.columns.get(name) ?? [];
    let total = 0;
    for (let at = Math.max(from, this.start); at < Math.min(to, this.end); at += this.step) total += values[(at - this.start) / this.step] ?? 0;
    return total;
  }
}

export class Store {
  constructor() {
    this.series = new Series(1);
    this.latency = new Series(5);
    this.weights = new Series(5);
    this.parts = {};
    this.now = 0;
    this.changed = new Set();
  }

  /** Take an event's data in. */
  take(data, whole) {
    const { now, series, latency, weights, ...parts } = data;
    this.now = now;
    if (whole) for (const each of [this.series, this.latency, this.weights]) each.reset(0), (each.length = 0);
    const { start, ...columns } = series;
    this.series.lay(start, columns);
    this.latency.lay(latency.start, { p50: latency.p50, p99: latency.p99 });
    this.weights.lay(weights.start, weights.experts);
    for (const [name, part] of Object.entries(parts)) {
      this.parts[name] = part;
      this.changed.add(name);
    }
  }

  /** The whole seconds of the last `range`, in steps that give about sixty points. */
  window(range) {
    const every = range / 60;
    const to = Math.floor(Math.floor(this.now) / every) * every;
    return { from: to - range, to, every };
  }
}
