// The event stream, read with fetch: EventSource can't send the token. Reconnects by itself, from where it stopped.

import { request, Unauthorized } from "./api.js";

const FIRST_DELAY = 1_000; // milliseconds, unless the daemon says otherwise
const LONGEST_DELAY = 15_000;
const SILENCE = 40_000; // the daemon says something every 15 s: after this the connection is dead
const HIDDEN = 60_000; // a tab that nobody looks at gives its connection back: a browser has six for all tabs together

export class JobStream {
  /** `handlers`: onSnapshot(jobs), onJob(job), onPruned(pruning), onState(text, tone), onUnauthorized(). */
  constructor(handlers) {
    this.handlers = handlers;
    this.lastId = null;
    this.retry = FIRST_DELAY;
    this.failures = 0;
    this.running = false;
    this.connected = false;
    document.addEventListener("visibilitychange", () => this.#visibilityChanged());
    addEventListener("online", () => this.#hurry());
  }

  start() {
    if (this.running) return;
    this.running = true;
    this.#run();
  }

  stop() {
    this.running = false;
    this.abort?.abort();
    this.wake?.();
  }

  async #run() {
    while (this.running) {
      try {
        await this.#read();
      } catch (error) {
        if (error instanceof Unauthorized) {
          this.running = false;
          this.handlers.onUnauthorized(error.message);
          return;
        }
      }
      this.connected = false;
      if (!this.running) return;
      await this.#pause();
    }
  }

  async #read() {
    const abort = (this.abort = new AbortController());
    let watchdog;
    const alive = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => abort.abort(), SILENCE);
    };
    alive();
    try {
      const headers = { Accept: "text/event-stream" };
      if (this.lastId !== null) headers["Last-Event-ID"] = this.lastId;
      const response = await request("/api/events", { headers, signal: abort.signal });
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        alive();
        if (!this.connected) {
          this.connected = true;
          this.failures = 0;
          this.handlers.onState("Live", "good");
        }
        const blocks = (rest + value).split("\n\n");
        rest = blocks.pop();
        for (const block of blocks) this.#take(block);
      }
    } finally {
      clearTimeout(watchdog);
      abort.abort();
    }
  }

  #take(block) {
    let event = "message";
    let id = null;
    const data = [];
    for (const line of block.split("\n")) {
      const colon = line.indexOf(":");
      if (colon <= 0) continue; // a comment
      const value = line.slice(colon + 1).replace(/^ /, "");
      switch (line.slice(0, colon)) {
        case "event": event = value; break;
        case "id": id = value; break;
        case "data": data.push(value); break;
        case "retry": this.retry = Number(value) || FIRST_DELAY; break;
      }
    }
    if (data.length === 0) return;
    const document = JSON.parse(data.join("\n"));
    if (event === "snapshot") this.handlers.onSnapshot(document.jobs);
    else if (event === "job") this.handlers.onJob(document);
    else if (event === "pruned") this.handlers.onPruned(document);
    if (id !== null) this.lastId = id;
  }

  async #pause() {
    const longest = Math.min(LONGEST_DELAY, this.retry * 2 ** this.failures);
    this.failures += 1;
    let left = document.hidden && this.sleeping ? Infinity : longest * (0.75 + Math.random() / 2);
    const hurry = new Promise((resolve) => (this.wake = resolve)).then(() => (left = 0));
    while (left > 0 && this.running) {
      const shown = Number.isFinite(left) ? `Reconnecting in ${Math.ceil(left / 1000)} s…` : "Paused in the background";
      this.handlers.onState(shown, "wait");
      const step = Math.min(left, 1_000);
      await Promise.race([new Promise((resolve) => setTimeout(resolve, step)), hurry]);
      left -= step;
    }
    if (this.running) this.handlers.onState("Connecting…", "wait");
  }

  #hurry() {
    this.failures = 0;
    this.wake?.();
  }

  #visibilityChanged() {
    clearTimeout(this.hiding);
    if (document.hidden) {
      this.hiding = setTimeout(() => {
        this.sleeping = true;
        this.abort?.abort();
      }, HIDDEN);
    } else {
      this.sleeping = false;
      this.#hurry();
    }
  }
}
