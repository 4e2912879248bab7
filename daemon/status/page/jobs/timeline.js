// What happened to a job, in order: who asked for it, each attempt with its error, and what people did meanwhile.

import { element } from "../dom.js";
import { link } from "../router.js";
import { duration, language, moment, t, time } from "../words.js";
import { ATTEMPT_RESULTS, TRIGGERS, word } from "./words.js";
import { dot } from "./row.js";

const TONES = { completed: "ok", running: "run", failed: "bad", lost: "bad", retried: "warn", asked: "ask" };
const BEGAN = new Set(["submit", "run_schedule", "run_again"]); // actions that say already who asked for the job

/** The story's events, oldest first: {key, at, tone, text, error, next, job}. */
export function eventsOf(story) {
  const { job, actions, attempts } = story;
  const events = [...actions.map((action) => actionEvent(action, job)), ...attempts.map(attemptEvent)];
  if (!actions.some((action) => BEGAN.has(action.kind))) {
    events.push({ key: "asked", at: job.created_at, tone: "off", text: asked(story) });
  }
  return events.sort((one, other) => Date.parse(one.at) - Date.parse(other.at));
}

/** An event as an item of the list. */
export function eventItem(event) {
  return element(
    "li",
    {},
    element("time", { datetime: event.at, title: moment(event.at) }, time(event.at)),
    element(
      "div",
      {},
      element("p", {}, element("span", { class: `tone-${event.tone}` }, dot()), event.text, " ", event.job ? link(`/jobs/${event.job}`, t("View")) : null),
      event.error ? element("p", { class: `event-error tone-${event.tone}` }, event.error) : null,
      event.next ? element("p", { class: "quiet" }, event.next) : null,
    ),
  );
}

function actionEvent(action, job) {
  const other = action.job_id && action.job_id !== job.id ? action.job_id : null;
  return { key: `action ${action.id}`, at: action.at, tone: "off", text: capitalised(action.text), job: other };
}

function attemptEvent(attempt) {
  const values = { n: attempt.number, result: word(ATTEMPT_RESULTS, attempt.result), worker: attempt.worker ?? "–" };
  const head = t("Attempt {n}: {result}", values);
  const took = attempt.ended_at ? [duration((Date.parse(attempt.ended_at) - Date.parse(attempt.started_at)) / 1000)] : [];
  return {
    key: `attempt ${attempt.number} ${attempt.started_at}`,
    at: attempt.started_at,
    tone: TONES[attempt.result] ?? "off",
    text: [head, ...took, t("on {worker}", values)].join(" · "),
    error: attempt.error,
    next: attempt.next_attempt_at ? t("Tried again at {time}", { time: time(attempt.next_attempt_at) }) : null,
  };
}

const capitalised = (text) => text.charAt(0).toLocaleUpperCase(language()) + text.slice(1);

function asked({ job, schedule, parent }) {
  if (parent) return t("Began as a step of {job}", { job: parent.name });
  if (schedule) return t("Asked for by the schedule {name}", { name: schedule });
  return t("Asked for: {how}", { how: word(TRIGGERS, job.trigger) });
}
