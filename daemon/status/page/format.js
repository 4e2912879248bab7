// How numbers, times and names are shown. Times are in the shop's zone, which the daemon reports.

let zone = "UTC";
let clockSkew = 0; // milliseconds by which the daemon's clock is ahead of this one

export function useClock(zoneName, daemonNow) {
  zone = zoneName;
  clockSkew = Date.parse(daemonNow) - Date.now();
  formats.clear();
}

/** The present time by the daemon's clock, in milliseconds. */
export const now = () => Date.now() + clockSkew;

const integers = new Intl.NumberFormat("en");
const amounts = new Intl.NumberFormat("en", { maximumFractionDigits: 4 });
const formats = new Map();

function format(options) {
  const key = JSON.stringify(options);
  if (!formats.has(key)) {
    formats.set(key, new Intl.DateTimeFormat("en-GB", { timeZone: zone, hourCycle: "h23", ...options }));
  }
  return formats.get(key);
}

const DAY = { year: "numeric", month: "2-digit", day: "2-digit" };
const TIME = { hour: "2-digit", minute: "2-digit", second: "2-digit" };

export const number = (value) => integers.format(value);

/** Money, which comes as decimal text: "90000.0000" → "90,000". */
export const amount = (value) => amounts.format(value);

/** "14:03:22" today, "21 Nov 14:03" on other days. */
export function time(iso) {
  const date = new Date(iso);
  const day = format(DAY);
  if (day.format(date) === day.format(now())) return format(TIME).format(date);
  const sameYear = format({ year: "numeric" }).format(date) === format({ year: "numeric" }).format(now());
  const shown = { day: "numeric", month: "short", ...(sameYear ? {} : { year: "numeric" }) };
  return `${format(shown).format(date)} ${format({ hour: "2-digit", minute: "2-digit" }).format(date)}`;
}

/** The whole moment: "24 Nov 2026, 00:37:15 GMT+7". */
export function moment(iso) {
  const shown = { day: "numeric", month: "short", year: "numeric", ...TIME };
  return `${format(shown).format(new Date(iso))} ${offset(new Date(iso))}`.trim();
}

/** Such as "Asia/Ho Chi Minh (GMT+7)". */
export function zoneName() {
  const name = zone.replaceAll("_", " ");
  return offset(now()) && offset(now()) !== name ? `${name} (${offset(now())})` : name;
}

function offset(date) {
  const parts = format({ timeZoneName: "short" }).formatToParts(date);
  return parts.find((part) => part.type === "timeZoneName")?.value ?? "";
}

/** "8 s", "3 min 20 s", "2 h 5 min", "3 d 4 h". */
export function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole}\u00a0s`;
  if (whole < 3600) return join(Math.floor(whole / 60), "min", whole % 60, "s");
  if (whole < 86400) return join(Math.floor(whole / 3600), "h", Math.floor((whole % 3600) / 60), "min");
  return join(Math.floor(whole / 86400), "d", Math.floor((whole % 86400) / 3600), "h");
}

const join = (large, largeUnit, small, smallUnit) =>
  small ? `${large}\u00a0${largeUnit}\u00a0${small}\u00a0${smallUnit}` : `${large}\u00a0${largeUnit}`;

/** Duration of a job: tenths of a second where it was short. */
export function duration(fromIso, toMilliseconds) {
  const seconds = Math.max(0, toMilliseconds - Date.parse(fromIso)) / 1000;
  return seconds < 10 ? `${seconds.toFixed(1)} s` : span(seconds);
}

/** "in 40 s", "3 min ago". */
export function relative(iso) {
  const seconds = (Date.parse(iso) - now()) / 1000;
  return seconds >= 0 ? `in ${coarse(seconds)}` : `${coarse(-seconds)} ago`;
}

function coarse(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.round(seconds))}\u00a0s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}\u00a0min`;
  if (seconds < 86400) return span(seconds - (seconds % 60));
  return span(seconds - (seconds % 3600));
}

const WORDS = { NHANH: "Nhanh", SHOPIFY: "Shopify", NOOP: "No-op" };

/** "PULL_NHANH_CUSTOMERS" → "Pull Nhanh customers". */
export function jobType(type) {
  const words = type.split("_").map((word) => WORDS[word] ?? word.toLowerCase());
  return words[0].charAt(0).toUpperCase() + words.join(" ").slice(1);
}

const STATUSES = {
  PENDING: "Pending",
  RUNNING: "Running",
  AWAITING_APPROVAL: "Needs approval",
  COMPLETED: "Completed",
  FAILED: "Failed",
  CANCELLED: "Cancelled",
};

export const statusName = (status) => STATUSES[status] ?? status;

const OUTCOMES = {
  submitted: "job submitted",
  already_live: "a job for the same work was already live",
  skipped: "missed, skipped",
  failed: "failed",
};

export const outcome = (name) => OUTCOMES[name] ?? name;
