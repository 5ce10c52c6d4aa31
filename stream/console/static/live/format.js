// Numbers, times and lengths of time as people read them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const minutes = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
export const NONE = "–";

const missing = (value) => value === null || value === undefined || Number.isNaN(value);

/** 1,234,567 */
export const count = (value) => (missing(value) ? NONE : whole.format(value));
/** 12.3k from ten thousand on */
export const short = (value) => (missing(value) ? NONE : value < 10_000 ? whole.format(value) : compact.format(value));

/** A rate: three figures at most. */
export function rate(value) {
  if (missing(value)) return NONE;
  if (value >= 100) return short(value);
  return value >= 10 ? value.toFixed(1) : value === 0 ? "0" : value.toFixed(2);
}

/** 0.123 */
export const figure = (value, digits = 3) => (missing(value) ? NONE : value.toFixed(digits).replace(/^-(0\.?0*)$/, "$1"));

/** Signed, with a real minus; what is rounded to nothing has no sign. */
export function signed(value, digits = 2) {
  if (missing(value)) return NONE;
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return `${value > 0 ? "+" : "−"}${text}`;
}

/** 12 %, 0.3 % below one */
export function percent(value) {
  if (missing(value)) return NONE;
  const hundred = value * 100;
  const digits = hundred !== 0 && Math.abs(hundred) < 1 ? (Math.abs(hundred) < 0.1 ? 2 : 1) : 0;
  return `${hundred.toFixed(digits).replace("-", "−")} %`;
}

/** Milliseconds, as ms, s or min. */
export function milliseconds(value) {
  if (missing(value)) return NONE;
  if (value < 1000) return `${value < 10 ? Number(value.toFixed(1)) : Math.round(value)} ms`;
  return duration(value / 1000);
}

/** Seconds, as s, min, h or days. */
export function duration(seconds) {
  if (missing(seconds)) return NONE;
  if (seconds < 10) return `${Number(seconds.toFixed(1))} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} days`;
}

/** 14:03:07 of seconds since 1970, in the reader's time. */
export const time = (at) => clock.format(at * 1000);
export const hour = (at) => minutes.format(at * 1000);

/** The time, with its day unless that is today's. */
export function moment(at, now) {
  return new Date(at * 1000).toDateString() === new Date(now * 1000).toDateString() ? time(at) : `${day.format(at * 1000)}, ${hour(at)}`;
}

/** One word, or its plural. */
export const many = (value, one, more = `${one}s`) => `${count(value)} ${value === 1 ? one : more}`;
