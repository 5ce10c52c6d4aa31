// Server-sent events, and whether they come. The browser comes back by itself and names the last event it has seen.

const SILENT = 5_000; // ms without the event that comes every second: the connection is dead, whatever the browser thinks

export class Feed {
  /** `take(data, whole)` gets every event, `state(word)` live, quiet or lost. */
  constructor(take, state) {
    this.take = take;
    this.state = state;
    this.source = null;
    this.heard = 0;
    this.watch = null;
  }

  start() {
    this.stop();
    const source = new EventSource("/events");
    this.source = source;
    const hear = (whole) => (event) => {
      this.heard = performance.now();
      this.state("live");
      this.take(JSON.parse(event.data), whole);
    };
    source.addEventListener("snapshot", hear(true));
    source.addEventListener("tick", hear(false));
    source.addEventListener("error", () => {
      this.state("lost");
      // A server that answers with an error ends an EventSource for good.
      if (source.readyState === EventSource.CLOSED) setTimeout(() => source === this.source && this.again(), 2_000);
    });
    this.heard = performance.now();
    this.watch = setInterval(() => {
      if (performance.now() - this.heard > SILENT) {
        this.state("lost");
        this.start();
      }
    }, 1_000);
  }

  /** One whose sign-in has run out is sent to sign in again. */
  async again() {
    const answer = await fetch("/api/live").catch(() => null);
    if (answer?.status === 401) location.reload();
    else this.start();
  }

  stop() {
    clearInterval(this.watch);
    this.source?.close();
    this.source = null;
  }
}
