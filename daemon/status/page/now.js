// The daemon's clock. It stands still while there is no connection: nobody knows what happens meanwhile.

let skew = 0; // milliseconds by which the daemon's clock is ahead of this one
let stoppedAt = null; // by the daemon's clock; null while it goes
const listeners = new Set();

/** The present time by the daemon's clock, in milliseconds; while there is no connection, that of its end. */
export const now = () => stoppedAt ?? Date.now() + skew;

/** Calls back every second while the clock goes, with `now()`; the function that is returned ends that. */
export function onTick(callback) {
  listeners.add(callback);
  return () => listeners.delete(callback);
}

/** Sets the clock by a time that the daemon has just told. */
export function setClock(iso) {
  skew = Date.parse(iso) - Date.now();
}

export function stopClock() {
  stoppedAt ??= now();
}

export function startClock() {
  stoppedAt = null;
}

setInterval(() => {
  if (stoppedAt !== null || document.hidden) return;
  for (const listener of listeners) listener(now());
}, 1_000);
