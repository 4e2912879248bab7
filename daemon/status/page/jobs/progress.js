// How far a job that has not ended is: a bar, rows, speed, the time left and what it waits for.

import { element, setAttribute, setHidden, setText } from "../dom.js";
import { duration, number, t, time, tn } from "../words.js";
import { waitsFor } from "./words.js";

const WORTH_SAYING = 1; // seconds of waiting for limits
const CHAIN = "PRODUCT_CHAIN"; // its rows are its steps
const ALMOST = 0.99; // where the total is a guess, a job is never said to be through

export class Progress {
  /** `besideSentence`: whether the sentence of the job's summary stands beside it, which says how many rows there are. */
  constructor({ besideSentence = false } = {}) {
    this.besideSentence = besideSentence;
    this.bar = element("progress", { class: "bar", "aria-label": t("Progress") });
    this.words = element("p", { class: "progress-words" });
    this.waits = element("p", { class: "quiet" });
    this.node = element("div", { class: "run-progress" }, this.bar, this.words, this.waits);
  }

  show(job) {
    const runs = job.status === "RUNNING";
    setHidden(this.node, !runs);
    if (!runs) return;
    const share = shareOf(job);
    setAttribute(this.bar, "value", share === null ? null : share.toFixed(4)); // indeterminate without
    const isSaid = this.besideSentence && job.type !== CHAIN && !job.metadata.waiting;
    setText(this.words, [...(isSaid ? [] : [rows(job, share)]), ...speed(job)].join(" · "));
    setText(this.waits, waits(job).join(" · "));
    setHidden(this.waits, this.waits.textContent === "");
  }
}

function shareOf(job) {
  if (job.total === null || job.total === 0) return null;
  return Math.min(job.processed / job.total, job.metadata.total_is_estimate ? ALMOST : 1);
}

function rows(job, share) {
  if (share === null) return tn("{n} row", "{n} rows", { n: job.processed });
  const values = { done: number(job.processed), total: number(job.total) };
  if (job.type === CHAIN) return t("{done} of {total} steps", values);
  return job.metadata.total_is_estimate ? t("{done} of about {total} rows", values) : t("{done} of {total} rows", values);
}

function speed(job) {
  const rate = job.metadata.rows_per_second;
  const parts = [];
  if (rate && job.type !== CHAIN) parts.push(t("{rate} a second", { rate: number(rate < 10 ? rate : Math.round(rate)) }));
  if (job.eta_seconds !== null) parts.push(t("{time} left", { time: duration(job.eta_seconds) }));
  return parts;
}

function waits(job) {
  const { waiting, rate_limit_wait_seconds: waited } = job.metadata;
  const parts = [];
  if (waiting) parts.push(t("waits for {what} since {time}", { what: waitsFor(waiting.for), time: time(waiting.since) }));
  if (waited >= WORTH_SAYING) parts.push(t("waited {time} for the rate limit so far", { time: duration(waited) }));
  return parts;
}
