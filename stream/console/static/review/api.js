// What the page asks the console. Every failure is an ApiError with one line that can be shown.

export class ApiError extends Error {
  constructor(status, message, code) {
    super(message);
    this.status = status; // 0: no answer at all
    this.code = code;
  }
}

const PATIENCE_MS = 15_000; // longer than the console waits for the broker

async function call(method, path, body) {
  let response;
  try {
    response = await fetch(`/api/review/${path}`, {
      method,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
  } catch {
    throw new ApiError(0, "The console does not answer.", "console");
  }
  if (response.status === 401) {
    location.assign(`/login?next=${encodeURIComponent(location.pathname)}`);
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) {
    const error = answer.error ?? {};
    throw new ApiError(response.status, error.message ?? `The console answered ${response.status}.`, error.code);
  }
  return answer;
}

const midnight = () => new Date().setHours(0, 0, 0, 0);

export const state = () => call("GET", `state?since=${midnight()}`);
export const agreement = () => call("GET", `agreement?since=${midnight()}`);
export const next = () => call("POST", "next", {});
export const vote = (turn, label, categories) => call("POST", "vote", { turn, label, categories });
export const skip = (turn) => call("POST", "skip", { turn });
export const back = (before) => call("POST", "back", { before });
export const rest = () => call("POST", "rest", {});
export const experts = (turn) => call("GET", `experts/${turn}`);
