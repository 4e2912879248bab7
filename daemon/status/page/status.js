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
let listener = () => {};

/** The last status that came; null before the first. */
export const status = () => latest;

/** Asks now and from now on; `onStatus(status)` is called with each answer. */
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
    const answer = await getJson("/status");
    setClock(answer.now);
    useZone(answer.timezone);
    latest = answer;
    listener(answer);
  } catch (error) {
    if (!(error instanceof Unauthorized)) connection.doubt();
  }
}
