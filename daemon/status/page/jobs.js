// The table of jobs: one <tbody> a job, updated in place.

import { post } from "./api.js";
import { Details } from "./details.js";
import { button, byId, cell, element, setAttribute, setHidden, setText } from "./dom.js";
import { duration, jobType, moment, now, number, relative, span, statusName, time } from "./format.js";

const MOST_ROWS = 200;
const FIRST_ROWS = 20; // shown before somebody asks for more, so that the schedules stay in reach
const LIVE = new Set(["PENDING", "RUNNING"]);
const asks = (job) => job.status === "AWAITING_APPROVAL";
const isOpen = (job) => LIVE.has(job.status) || asks(job);

export class JobTable {
  /** `act(work)` carries out an action and shows its error; `emptyText()` says what to expect while the table is empty. */
  constructor(act, emptyText) {
    this.act = act;
    this.emptyText = emptyText;
    this.table = byId("jobs");
    this.rows = new Map(); // by id
    this.waiting = new Map(); // latest state of each job until the next frame
    this.isLoaded = false;
    this.isWhole = false;
    byId("jobs-more").addEventListener("click", () => {
      this.isWhole = true;
      this.#fold();
    });
  }

  /** A new snapshot: what is not in it is gone. */
  replaceAll(jobs) {
    const present = new Set(jobs.map((job) => job.id));
    for (const id of [...this.rows.keys()]) if (!present.has(id)) this.#remove(id);
    this.waiting.clear();
    this.isLoaded = true;
    for (const job of jobs) this.put(job);
    this.#schedule();
  }

  put(job) {
    const known = this.waiting.get(job.id) ?? this.rows.get(job.id)?.job;
    if (known && known.version >= job.version) return;
    this.waiting.set(job.id, job);
    this.#schedule();
  }

  /** Jobs were deleted: of those that ended at `ended_until` or before, only `kept` are there. */
  prune({ ended_until, kept }) {
    const remain = new Set(kept);
    // As texts, since they have microseconds: the daemon's times are all in UTC and written alike.
    const isGone = (job) => job.completed_at !== null && job.completed_at <= ended_until && !remain.has(job.id);
    for (const id of new Set([...this.rows.keys(), ...this.waiting.keys()])) if (isGone(this.find(id))) this.#remove(id);
    this.#schedule();
  }

  /** A job of the page by its id. */
  find(id) {
    return this.waiting.get(id) ?? this.rows.get(id)?.job ?? null;
  }

  /** Goes to a job's row. */
  jump(id) {
    const row = this.rows.get(id);
    if (!row) return;
    if (row.body.hidden) {
      this.isWhole = true;
      this.#fold();
    }
    row.open();
    row.body.scrollIntoView({ block: "center" });
    row.toggle.focus({ preventScroll: true });
  }

  /** What changes with time alone. */
  tick() {
    for (const row of this.rows.values()) row.tick();
    this.#showSummary();
  }

  #schedule() {
    if (this.scheduled) return;
    this.scheduled = true;
    const flush = () => {
      this.scheduled = false;
      this.#flush();
    };
    // A hidden tab gets no frames.
    if (document.hidden) setTimeout(flush, 250);
    else requestAnimationFrame(flush);
  }

  #flush() {
    for (const job of this.waiting.values()) {
      const row = this.rows.get(job.id);
      if (row) {
        const moves = asks(row.job) !== asks(job);
        row.show(job);
        if (moves) this.#place(row);
      } else {
        this.#insert(job);
      }
    }
    this.waiting.clear();
    this.#trim();
    this.#fold();
    this.#showSummary();
  }

  #insert(job) {
    const row = new JobRow(job, this, this.act);
    this.rows.set(job.id, row);
    this.#place(row);
  }

  /** What waits for a person is on top; else the newest. Ids are UUIDv7: they sort by age. */
  #place(row) {
    const rank = ({ job }) => `${asks(job) ? 1 : 0} ${job.id}`;
    const others = [...this.table.tBodies].filter((body) => body !== row.body);
    const after = others.find((body) => rank(this.rows.get(body.dataset.id)) < rank(row));
    this.table.insertBefore(row.body, after ?? null);
  }

  #trim() {
    const bodies = [...this.table.tBodies];
    for (let at = bodies.length - 1; at >= 0 && this.rows.size > MOST_ROWS; at -= 1) {
      const row = this.rows.get(bodies[at].dataset.id);
      if (!isOpen(row.job)) this.#remove(row.job.id);
    }
  }

  /** Hides older jobs that have ended. */
  #fold() {
    let hidden = 0;
    [...this.table.tBodies].forEach((body, at) => {
      const isHidden = !this.isWhole && at >= FIRST_ROWS && !isOpen(this.rows.get(body.dataset.id).job);
      setHidden(body, isHidden);
      if (isHidden) hidden += 1;
    });
    setHidden(byId("jobs-more"), hidden === 0);
    setText(byId("jobs-more"), `Show ${hidden} more`);
  }

  #remove(id) {
    this.rows.get(id)?.body.remove();
    this.rows.delete(id);
    this.waiting.delete(id);
  }

  #showSummary() {
    const isEmpty = this.rows.size === 0;
    setHidden(this.table, isEmpty);
    setHidden(byId("jobs-empty"), !isEmpty || !this.isLoaded);
    if (isEmpty) setText(byId("jobs-empty"), this.emptyText());
    const counts = { AWAITING_APPROVAL: 0, RUNNING: 0, PENDING: 0 };
    for (const { job } of this.rows.values()) if (job.status in counts) counts[job.status] += 1;
    const parts = [];
    if (counts.AWAITING_APPROVAL) parts.push(`${counts.AWAITING_APPROVAL} need${counts.AWAITING_APPROVAL === 1 ? "s" : ""} approval`);
    if (counts.RUNNING) parts.push(`${counts.RUNNING} running`);
    if (counts.PENDING) parts.push(`${counts.PENDING} pending`);
    setText(byId("jobs-summary"), parts.join(" · "));
    const told = counts.AWAITING_APPROVAL || counts.RUNNING ? parts.slice(0, 1) : [];
    document.title = [...told, "dongbo"].join(" · ");
  }
}

class JobRow {
  constructor(job, jobs, act) {
    this.jobs = jobs;
    this.act = act;
    this.id = job.id;
    this.#build(job);
    this.show(job);
  }

  #build(job) {
    this.status = element("span", { class: "status" });
    this.statusHint = element("span", { class: "quiet block" });
    this.toggle = element("button", { type: "button", class: "toggle", "aria-expanded": "false" }, jobType(job.type));
    this.toggle.addEventListener("click", () => this.#toggle());
    this.origin = element("span", { class: "quiet block" });
    this.bar = element("progress", { "aria-label": "Progress" });
    this.progress = element("span", { class: "block" });
    this.speed = element("span", { class: "quiet block" });
    this.counters = Object.fromEntries(
      ["created", "updated", "skipped", "failed"].map((name) => [
        name,
        cell(name[0].toUpperCase() + name.slice(1), { class: `number counter ${name}` }),
      ]),
    );
    this.started = cell("Started", { class: "nowrap" });
    this.duration = cell("Duration", { class: "nowrap" });
    this.approve = button("Approve", () => this.#approve(), { class: "strong" });
    this.reject = button("Reject", () => this.act(() => post(`/api/jobs/${this.id}/reject`)));
    this.cancel = button("Cancel", () => this.#cancel());
    this.retry = button("Retry", () => this.act(() => post(`/api/jobs/${this.id}/retry`, {})));
    this.retryRows = button("Retry failed", () =>
      this.act(() => post(`/api/jobs/${this.id}/retry`, { failed: true })),
    );
    this.error = element("td", { role: "cell", colspan: "10", class: "error" });
    this.errorRow = element("tr", { role: "row", class: "error-row" }, this.error);
    const details = element("td", { role: "cell", colspan: "10" });
    this.details = new Details(details, this.jobs, this.act);
    this.detailRow = element("tr", { role: "row", class: "detail-row", hidden: true }, details);
    this.main = element(
      "tr",
      { role: "row", class: "main-row" },
      cell("Status", { class: "status-cell" }, this.status, this.statusHint),
      cell("Job", { class: "job-cell" }, this.toggle, this.origin),
      cell("Progress", { class: "wide progress-cell" }, this.bar, this.progress, this.speed),
      ...Object.values(this.counters),
      this.started,
      this.duration,
      cell("", { class: "actions" }, this.approve, this.reject, this.cancel, this.retry, this.retryRows),
    );
    this.body = element("tbody", { role: "rowgroup", "data-id": job.id }, this.main, this.errorRow, this.detailRow);
  }

  show(job) {
    const before = this.job;
    this.job = job;
    const cancelling = job.status === "RUNNING" && job.cancel_requested;
    setText(this.status, cancelling ? "Cancelling" : statusName(job.status));
    setAttribute(this.status, "data-status", job.status);
    this.#showOrigin();
    for (const [name, node] of Object.entries(this.counters)) {
      setText(node, number(job[name]));
      node.classList.toggle("zero", job[name] === 0);
    }
    setText(this.error, job.error ?? "");
    this.error.classList.toggle("ask", asks(job));
    setHidden(this.errorRow, !job.error);
    setHidden(this.approve, !asks(job));
    setHidden(this.reject, !asks(job));
    setHidden(this.cancel, !LIVE.has(job.status) || job.cancel_requested);
    setHidden(this.retry, job.status !== "FAILED" && job.status !== "CANCELLED");
    setHidden(this.retryRows, isOpen(job) || job.failed === 0);
    this.#showProgress();
    this.tick();
    if (!this.detailRow.hidden && before) this.details.show(job, before);
  }

  #showOrigin() {
    const { job } = this;
    const parent = job.parent_id && this.jobs.find(job.parent_id);
    const parts = [job.store];
    if (job.params.dry_run) parts.push("dry run");
    if (job.parent_id) parts.push(`step of ${parent ? jobType(parent.type).toLowerCase() : "another job"}`);
    parts.push(job.schedule ? `schedule ${job.schedule}` : job.trigger);
    setText(this.origin, parts.join(" · "));
  }

  tick() {
    const { job } = this;
    this.#showOrigin();
    setText(this.started, job.started_at ? time(job.started_at) : "–");
    setAttribute(this.started, "title", job.started_at ? moment(job.started_at) : null);
    const end = asks(job) ? Date.parse(job.updated_at) : job.completed_at ? Date.parse(job.completed_at) : now();
    setText(this.duration, job.started_at ? duration(job.started_at, end) : "–");
    const waits = job.status === "PENDING" && job.not_before && Date.parse(job.not_before) > now();
    const attempt = `Attempt\u00a0${job.attempt}\u00a0of\u00a0${job.max_attempts}`;
    setText(this.statusHint, waits ? `${attempt}, again ${relative(job.not_before)}` : "");
  }

  #showProgress() {
    const { job } = this;
    const about = job.metadata.total_is_estimate ? "~" : "";
    const isRunning = job.status === "RUNNING";
    const isKnown = job.total !== null && job.total > 0;
    const share = isKnown ? Math.min(job.processed / job.total, isRunning && about ? 0.99 : 1) : null;
    setHidden(this.bar, !isRunning && job.status !== "PENDING");
    if (share !== null) {
      setAttribute(this.bar, "value", share.toFixed(4));
    } else if (isRunning) {
      this.bar.removeAttribute("value"); // indeterminate
    } else {
      setAttribute(this.bar, "value", "0");
    }
    const rows = isKnown && LIVE.has(job.status)
      ? `${number(job.processed)} of ${about}${number(job.total)} rows (${about}${Math.floor(share * 100)}\u00a0%)`
      : `${number(job.processed)} rows`;
    setText(this.progress, job.status === "PENDING" && job.processed === 0 ? "Waiting for its turn" : rows);
    setText(this.speed, this.#speed().join(" · "));
  }

  #speed() {
    const { job } = this;
    const parts = [];
    const rate = job.metadata.rows_per_second;
    if (rate && job.status !== "PENDING") parts.push(`${number(rate < 10 ? rate : Math.round(rate))} rows/s`);
    if (job.eta_seconds !== null && job.status === "RUNNING") parts.push(`${span(job.eta_seconds)} left`);
    const waiting = job.status === "RUNNING" ? job.metadata.waiting : null;
    if (waiting) parts.push(`waiting for ${waiting.for} since ${moment(waiting.since)}`);
    const waited = job.metadata.rate_limit_wait_seconds;
    if (waited >= 1) parts.push(`waited ${span(waited)} for the rate limit`);
    return parts;
  }

  #cancel() {
    if (!confirm(`Cancel "${jobType(this.job.type)}" of ${this.job.store}? What it has stored is kept.`)) return undefined;
    return this.act(() => post(`/api/jobs/${this.id}/cancel`));
  }

  #approve() {
    const { job } = this;
    if (!confirm(`Approve "${jobType(job.type)}" of ${job.store}?\n\n${job.error ?? ""}`)) return undefined;
    return this.act(() => post(`/api/jobs/${this.id}/approve`));
  }

  /** Shows the details. */
  open() {
    if (this.detailRow.hidden) this.#toggle();
  }

  #toggle() {
    const open = this.detailRow.hidden;
    setHidden(this.detailRow, !open);
    setAttribute(this.toggle, "aria-expanded", String(open));
    if (open) this.details.show(this.job, null);
  }
}
