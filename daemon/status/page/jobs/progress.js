// How far a job that has not ended is: a bar, rows, speed, the time left, what it does and what it waits for.

import { element, setAttribute, setHidden, setText } from "../dom.js";
import { duration, number, t, time, tn } from "../words.js";
import { phaseWords, waitsFor } from "./words.js";

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
    const gathers = isGathered(job);
    const isSaid = this.besideSentence && job.type !== CHAIN && (gathers || !job.metadata.waiting);
    setText(this.words, [...(isSaid ? [] : [gathers ? gathering(job.metadata.bulk) : rows(job, share)]), ...(gathers ? [] : speed(job))].join(" · "));
    setText(this.waits, waits(job).join(" · "));
    setHidden(this.waits, this.waits.textContent === "");
  }
}

/** Whether what it reads in bulk is still to come: it has stored nothing of that. */
const isGathered = ({ metadata: { bulk } }) => Boolean(bulk) && bulk.state !== "storing";

function gathering({ state, objects, bytes, file_bytes: all }) {
  if (state === "downloading") return t("{done} of {total} MB downloaded", { done: megabytes(bytes), total: megabytes(all) });
  if (state === "sorting") return t("sorts what was downloaded");
  return tn("Shopify has gathered {n} object", "Shopify has gathered {n} objects", { n: objects });
}

const megabytes = (bytes) => number(Math.ceil(bytes / 1e6));

function shareOf(job) {
  if (isGathered(job)) return job.metadata.bulk.state === "downloading" ? job.metadata.bulk.bytes / job.metadata.bulk.file_bytes : null;
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
  const { waiting, phase, rate_limit_wait_seconds: waited } = job.metadata;
  const parts = phase ? [phaseWords(phase)] : [];
  if (waiting && !isGathered(job)) parts.push(t("waits for {what} since {time}", { what: waitsFor(waiting.for), time: time(waiting.since) }));
  if (waited >= WORTH_SAYING) parts.push(t("waited {time} for the rate limit so far", { time: duration(waited) }));
  return parts;
}
