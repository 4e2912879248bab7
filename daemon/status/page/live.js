// The event stream, read with fetch: EventSource does not tell why it was refused. Reconnects by itself, from where it
// stopped.

import { request, Unauthorized } from "./api.js";
import { now, startClock, stopClock } from "./now.js";

const QUICK = [100, 250, 500, 1_000]; // milliseconds before the first attempts to come back
const LONGEST_DELAY = 1_500; // a daemon that has come back is seen within a second or two
const CROWDED = 10_000; // where the daemon says that it has too many readers or connections
const CROWDS = new Set(["urn:dongbo:problem:too-many-readers", "urn:dongbo:problem:too-many-connections"]);
const SILENCE = 25_000; // the daemon says something every 15 s: after this the connection is dead
const HIDDEN = 60_000; // a tab that nobody looks at gives its connection back: a browser has six for all tabs together
const MOST_JOBS = 400; // that are remembered for who subscribes later

const subscribers = new Set();
const jobs = new Map(); // the latest state of each, by id
let hasSnapshot = false;

class Connection {
  #lastId = null;
  #failures = 0;
  #running = false;
  #ended = Promise.resolve(); // the last run
  #sleeping = false;

  /** "connecting" before the first answer, "live", or "lost". */
  state = "connecting";
  /** Until when the page knows what has happened, in milliseconds; null before the first answer. */
  asOf = null;

  /** Whether nobody looks at the page, so that it has given its connection back. */
  get isAsleep() {
    return this.#sleeping;
  }

  /**
   * Tells of jobs: `onJob(job)`, `onSnapshot(jobs)` (what is not in it is gone), `onPruned({ended_until, kept})`, and
   * `onState(state)`. A snapshot of what is known comes at once. The function that is returned ends it.
   */
  subscribe(subscriber) {
    subscribers.add(subscriber);
    if (hasSnapshot) subscriber.onSnapshot?.([...jobs.values()]);
    return () => subscribers.delete(subscriber);
  }

  start() {
    if (this.#running) return;
    this.#running = true;
    this.#ended = this.#ended.then(() => this.#run());
  }

  stop() {
    this.#running = false;
    this.abort?.abort();
    this.wake?.();
  }

  /** Something else has found that the daemon does not answer: the stream may not have noticed. */
  doubt() {
    if (this.state === "live") this.abort?.abort();
  }

  async #run() {
    document.addEventListener("visibilitychange", this.#visibilityChanged);
    addEventListener("online", this.#hurry);
    while (this.#running) {
      let crowded = false;
      try {
        await this.#read();
      } catch (error) {
        if (error instanceof Unauthorized) this.#running = false;
        crowded = CROWDS.has(error.problem?.type); // one that starts answers 503 as well, and is there in a moment
      }
      this.#turn("lost");
      if (this.#running) await this.#pause(crowded);
    }
    document.removeEventListener("visibilitychange", this.#visibilityChanged);
    removeEventListener("online", this.#hurry);
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
      if (this.#lastId !== null) headers["Last-Event-ID"] = this.#lastId;
      const response = await request("/api/events", { headers, signal: abort.signal });
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        alive();
        this.#failures = 0;
        this.#turn("live");
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
      }
    }
    if (data.length === 0) return;
    const content = JSON.parse(data.join("\n"));
    if (event === "snapshot") takeSnapshot(content.jobs);
    else if (event === "job") takeJob(content);
    else if (event === "pruned") takePruning(content);
    if (id !== null) this.#lastId = id;
  }

  #turn(state) {
    if (state === "live") startClock();
    if (this.state === state) return;
    if (this.state === "live") this.asOf = now();
    if (state === "lost") stopClock();
    this.state = state;
    tell("onState", state);
  }

  async #pause(crowded) {
    const delay = crowded ? CROWDED : (QUICK[this.#failures] ?? LONGEST_DELAY);
    this.#failures += 1;
    const awake = new Promise((resolve) => (this.wake = resolve));
    await Promise.race([new Promise((resolve) => setTimeout(resolve, delay * (0.75 + Math.random() / 2))), awake]);
    if (this.#sleeping) await awake;
  }

  #hurry = () => {
    this.#failures = 0;
    this.wake?.();
  };

  #visibilityChanged = () => {
    clearTimeout(this.hiding);
    if (document.hidden) {
      this.hiding = setTimeout(() => {
        this.#sleeping = true;
        this.abort?.abort();
        tell("onState", this.state);
      }, HIDDEN);
    } else {
      this.#sleeping = false;
      this.#hurry();
    }
  };
}

export const connection = new Connection();

function takeSnapshot(all) {
  jobs.clear();
  for (const job of all) jobs.set(job.id, job);
  hasSnapshot = true;
  tell("onSnapshot", all);
}

function takeJob(job) {
  if ((jobs.get(job.id)?.version ?? 0) >= job.version) return;
  jobs.set(job.id, job);
  if (jobs.size > MOST_JOBS) forgetOldest();
  tell("onJob", job);
}

/** Of those that completed at `ended_until` or before, only those in `kept` are still there. */
function takePruning(pruning) {
  const kept = new Set(pruning.kept);
  for (const job of jobs.values()) {
    // As texts, since they have microseconds: the daemon's times are all in UTC and written alike.
    if (job.completed_at !== null && job.completed_at <= pruning.ended_until && !kept.has(job.id)) jobs.delete(job.id);
  }
  tell("onPruned", pruning);
}

/** Ids are UUIDv7: they sort by age. */
function forgetOldest() {
  const ended = [...jobs.values()].filter((job) => job.completed_at !== null).map((job) => job.id).sort();
  for (const id of ended.slice(0, jobs.size - MOST_JOBS)) jobs.delete(id);
}

function tell(what, content) {
  for (const subscriber of subscribers) subscriber[what]?.(content);
}
