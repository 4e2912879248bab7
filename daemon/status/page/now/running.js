// What runs now, followed live: how far it is, how fast, and what it waits for.

import { act } from "../actions.js";
import { getJson, post } from "../api.js";
import { element, setHidden, setText, steeringButton } from "../dom.js";
import { Progress } from "../jobs/progress.js";
import { connection } from "../live.js";
import { link } from "../router.js";
import { t, time, tn } from "../words.js";

const MOST = 50; // running jobs that are shown
const HIDDEN_TYPE = "NOOP"; // of `dongbo doctor`

export class Running {
  constructor(signal) {
    this.signal = signal;
    this.jobs = new Map(); // those that have not ended, by id
    this.names = new Map(); // by type
    this.rows = new Map(); // by id
    this.list = element("ul", { class: "card running" });
    this.idle = element("p", { class: "quiet" });
    this.waiting = element("p", { class: "quiet" });
    this.node = element("section", {}, element("h2", {}, t("Running")), this.list, this.idle, this.waiting);
  }

  /** Follows the jobs from now on; the function that is returned ends it. */
  follow() {
    return connection.subscribe({
      onSnapshot: (jobs) => {
        this.jobs = new Map(jobs.filter(isLive).map((job) => [job.id, job]));
        this.#show();
      },
      onJob: (job) => {
        if (isLive(job)) this.jobs.set(job.id, job);
        else this.jobs.delete(job.id);
        this.#show();
      },
    });
  }

  #show() {
    const all = [...this.jobs.values()].filter((job) => job.type !== HIDDEN_TYPE);
    const running = all.filter((job) => job.status === "RUNNING");
    const parents = new Set(running.map((job) => job.parent_id));
    // A chain is shown by the step that it is at.
    const shown = running.filter((job) => !parents.has(job.id)).sort((one, other) => (one.id < other.id ? 1 : -1)).slice(0, MOST);
    if (shown.some((job) => !this.names.has(job.type))) this.#readNames();
    this.#place(shown);
    setHidden(this.list, shown.length === 0);
    setHidden(this.idle, shown.length > 0);
    setText(this.idle, t("Nothing runs at the moment."));
    this.#showWaiting(all.filter((job) => job.status === "PENDING").length);
  }

  #place(shown) {
    const present = new Set(shown.map((job) => job.id));
    for (const [id, row] of this.rows) {
      if (present.has(id)) continue;
      row.node.remove();
      this.rows.delete(id);
    }
    shown.forEach((job, at) => {
      const row = this.rows.get(job.id) ?? new Row(job);
      this.rows.set(job.id, row);
      row.show(job, this.names.get(job.type), this.jobs.get(job.parent_id) && this.names.get(this.jobs.get(job.parent_id).type));
      if (this.list.children[at] !== row.node) this.list.insertBefore(row.node, this.list.children[at] ?? null);
    });
  }

  #showWaiting(count) {
    setHidden(this.waiting, count === 0);
    const text = count ? tn("{n} job waits for its turn", "{n} jobs wait for their turn", { n: count }) : "";
    if (this.waiting.textContent !== text) this.waiting.replaceChildren(link("/jobs?status=PENDING", text));
  }

  /** What the types of jobs are called, once. */
  async #readNames() {
    if (this.asked) return;
    this.asked = true;
    try {
      const { types } = await getJson("/api/job-types", { signal: this.signal });
      for (const { type, name } of types) this.names.set(type, name);
      this.#show();
    } catch {
      this.asked = false; // the next change of a job asks again
    }
  }
}

const isLive = (job) => job.completed_at === null;

class Row {
  constructor(job) {
    this.name = link(`/jobs/${job.id}`, "");
    this.origin = element("small");
    this.progress = new Progress();
    this.cancel = steeringButton(t("Cancel"), (pressed) => this.#cancel(pressed));
    this.node = element(
      "li",
      {},
      element("div", {}, element("b", {}, this.name), this.origin),
      this.progress.node,
      element("div", { class: "actions" }, this.cancel),
    );
  }

  show(job, name, chain) {
    this.job = job;
    setText(this.name, name ?? "…");
    const since = t("since {time}", { time: time(job.started_at ?? job.created_at) });
    const origin = chain ? t("step of {chain}", { chain }) : job.schedule && t("schedule {name}", { name: job.schedule });
    setText(this.origin, [job.store, origin, since].filter(Boolean).join(" · "));
    setHidden(this.cancel, job.cancel_requested);
    this.progress.show(job);
  }

  #cancel(pressed) {
    const question = t("Cancel “{job}” of {store}? What it has stored is kept.", { job: this.name.textContent, store: this.job.store });
    if (!confirm(question)) return undefined;
    return act(pressed, async () => {
      await post(`/api/jobs/${this.job.id}/cancel`);
      return t("It stops at its next checkpoint.");
    });
  }
}
