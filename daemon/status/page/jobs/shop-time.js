// Times as a person enters them: on the clock of the shop, whatever zone the browser is in.

import { shopZone } from "../words.js";

const PARTS = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" };

/** "2026-11-28T22:00" on the shop's clock as an instant in ISO 8601; null where it is no time. */
export function instant(shown) {
  const wanted = Date.parse(`${shown}Z`);
  if (Number.isNaN(wanted)) return null;
  // The offset at a time can be told of an instant only: a second look hits it beside a change of the clocks.
  let found = wanted - offset(wanted);
  found = wanted - offset(found);
  return new Date(found).toISOString();
}

/** An instant in milliseconds as the shop's clock shows it, for a datetime-local input. */
export const onTheClock = (milliseconds) => new Date(milliseconds + offset(milliseconds)).toISOString().slice(0, 16);

/** The beginning of a day of the shop, `days` from that of the instant. */
export function midnight(milliseconds, days = 0) {
  const day = new Date(Date.parse(`${onTheClock(milliseconds).slice(0, 10)}T00:00Z`) + days * 86_400_000);
  return day.toISOString().slice(0, 16);
}

/** By how many milliseconds the shop's clock is ahead of UTC. */
function offset(milliseconds) {
  const format = new Intl.DateTimeFormat("en-US", { timeZone: shopZone(), hourCycle: "h23", ...PARTS });
  const part = Object.fromEntries(format.formatToParts(milliseconds).map(({ type, value }) => [type, value]));
  const shown = Date.UTC(part.year, part.month - 1, part.day, part.hour, part.minute, part.second);
  return shown - Math.floor(milliseconds / 1000) * 1000;
}
