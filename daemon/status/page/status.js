// The daemon at a glance, asked for every few seconds and soon after something has happened.

import { getJson, Unauthorized } from "./api.js";
import { connection } from "./live.js";
import { setClock } from "./now.js";
import { useZone } from "./words.js";

const REFRESH = 10_000; // milliseconds
const SOON = 500; // after something has happened that the status tells of

let latest = null;
let asking = null;
let soon = null;
let failed = false; // the last question
let listener = () => {};

const FIRST_STEPS = new Set(["nothing_pulled", "nothing_pushed"]); // of a new installation

/** The last status that came; null before the first. */
export const status = () => latest;

/** Whether the daemon did not answer when it was asked last: what `status()` says may no longer hold. */
export const isStale = () => failed;

/** The conditions that tell of the first steps of a new installation. */
export const firstSteps = (conditions) => conditions.filter((condition) => FIRST_STEPS.has(condition.name));

/** The conditions that last until somebody does something. */
export const needs = (conditions) => conditions.filter((condition) => condition.needs_person && !FIRST_STEPS.has(condition.name));

/** The conditions that are good to know, and that no stream tells of. */
export const notices = (conditions) => conditions.filter((condition) => !condition.needs_person && !condition.stream && !FIRST_STEPS.has(condition.name));

/** Asks now and from now on; `onStatus(status)` is called with each answer, null where none came. */
export function startStatus(onStatus) {
  listener = onStatus;
  setInterval(() => {
    if (!document.hidden) refresh();
  }, REFRESH);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) refresh();
  });
}

/** Asks for the status; never twice at once. */
export function refresh() {
  asking ??= load().finally(() => (asking = null));
  return asking;
}

export function refreshSoon() {
  soon ??= setTimeout(() => {
    soon = null;
    refresh();
  }, SOON);
}

async function load() {
  try {
    latest = await getJson("/status");
  } catch (error) {
    failed = true;
    if (error instanceof Unauthorized) return;
    connection.doubt();
    listener(null);
    return;
  }
  failed = false;
  setClock(latest.now);
  useZone(latest.timezone);
  listener(latest);
}
