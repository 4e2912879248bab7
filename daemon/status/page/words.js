// The words of the page in the language of the reader, and how numbers and times are written in it.
// English is the source; the daemon serves the catalogue of another language.

import { now } from "./now.js";

const KEY = "dongbo-language";
const LANGUAGES = ["vi", "en"];
const MINUTE = 60;
const HOUR = 3_600;
const DAY = 86_400;

const spoken = localStorage.getItem(KEY) ?? preferred();
const catalogue = spoken === "en" ? {} : await load(spoken);
const formats = new Map();
let zone = "UTC";

/** The text in the language of the page, with values for its {names}. Values are shown as they are. */
export const t = (message, values = {}) => filled(catalogue[message] ?? message, values);

/** As `t`, of one thing or of several: `values.n` is how many, and is shown as a number. */
export function tn(one, many, values) {
  const shown = { ...values, n: number(values.n) };
  const translated = catalogue[one];
  if (translated) return filled(typeof translated === "string" ? translated : translated.at(-1), shown);
  return filled(values.n === 1 ? one : many, shown);
}

export const language = () => spoken;
export const languages = () => LANGUAGES;

/** Shows the page in another language from now on. */
export function setLanguage(chosen) {
  localStorage.setItem(KEY, chosen);
  location.reload();
}

/** The shop's zone, in which times are shown. */
export function useZone(name) {
  if (zone === name) return;
  zone = name;
  formats.clear();
}

/** The name of that zone, such as "Asia/Ho_Chi_Minh". */
export const shopZone = () => zone;

/** 1234.5 → "1,234.5" or "1.234,5". */
export const number = (value, options = {}) => numbers(options).format(value);

/** Money, which comes as decimal text: "90000.0000" → "90,000". */
export const money = (text) => (text === null || text === undefined ? "–" : numbers({ maximumFractionDigits: 4 }).format(text));

/** The time today, "14:03:22" or without `seconds` "14:03"; on other days with the day, "Fri 18:40" or "21 Nov 14:03". */
export function time(iso, { seconds = true } = {}) {
  const date = new Date(iso);
  const isToday = isSameDay(date, new Date(now()));
  const shown = dates({ hour: "2-digit", minute: "2-digit", ...(isToday && seconds ? { second: "2-digit" } : {}) }).format(date);
  return isToday ? shown : `${shortDay(date)} ${shown}`;
}

/** The whole moment: "24 Nov 2026, 00:37:15 GMT+7". */
export function moment(iso) {
  const shown = { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" };
  return dates({ ...shown, timeZoneName: "short" }).format(new Date(iso));
}

/** The day alone: "24 Nov 2026". */
export const day = (iso) => dates({ day: "numeric", month: "short", year: "numeric" }).format(new Date(iso));

/** "3 min ago", or "in 40 s". */
export function ago(iso) {
  const seconds = (now() - Date.parse(iso)) / 1000;
  const shown = coarse(Math.abs(seconds));
  return seconds >= 0 ? t("{duration} ago", { duration: shown }) : t("in {duration}", { duration: shown });
}

/** "8 s", "3 min 20 s", "2 h 5 min", "3 d 4 h". */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < MINUTE) return t("{n} s", { n: whole });
  if (whole < HOUR) return joined(t("{n} min", { n: Math.floor(whole / MINUTE) }), whole % MINUTE, "{n} s");
  if (whole < DAY) return joined(t("{n} h", { n: Math.floor(whole / HOUR) }), Math.floor((whole % HOUR) / MINUTE), "{n} min");
  return joined(t("{n} d", { n: Math.floor(whole / DAY) }), Math.floor((whole % DAY) / HOUR), "{n} h");
}

/** Such as "Asia/Ho Chi Minh (GMT+7)". */
export function zoneName() {
  const name = zone.replaceAll("_", " ");
  const offset = dates({ timeZoneName: "short" }).formatToParts(new Date()).find((part) => part.type === "timeZoneName").value;
  return offset === name ? name : `${name} (${offset})`;
}

function preferred() {
  const known = navigator.languages.map((tag) => tag.toLowerCase().split("-")[0]);
  return known.find((tag) => LANGUAGES.includes(tag)) ?? "en";
}

/** The catalogue; without it the page is in English. */
async function load(name) {
  try {
    const response = await fetch(`/page/words.${name}.json`);
    return response.ok ? await response.json() : {};
  } catch {
    return {};
  }
}

const filled = (text, values) => text.replaceAll(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);

const joined = (large, small, unit) => (small ? `${large} ${t(unit, { n: small })}` : large);

function coarse(seconds) {
  if (seconds < MINUTE) return duration(seconds);
  if (seconds < HOUR) return duration(seconds - (seconds % MINUTE));
  return duration(seconds - (seconds % (seconds < DAY ? MINUTE : HOUR)));
}

function shortDay(date) {
  const age = (now() - date) / 1000;
  if (age > 0 && age < 6 * DAY) return dates({ weekday: "short" }).format(date);
  const isThisYear = dates({ year: "numeric" }).format(date) === dates({ year: "numeric" }).format(now());
  return dates({ day: "numeric", month: "short", ...(isThisYear ? {} : { year: "numeric" }) }).format(date);
}

const isSameDay = (one, other) => {
  const shown = dates({ year: "numeric", month: "2-digit", day: "2-digit" });
  return shown.format(one) === shown.format(other);
};

const numbers = (options) => format(options, () => new Intl.NumberFormat(spoken, options));

/** Days before months, and 24 hours, in English too. */
const dates = (options) =>
  format(options, () => new Intl.DateTimeFormat(spoken === "en" ? "en-GB" : spoken, { timeZone: zone, hourCycle: "h23", ...options }), "date");

function format(options, make, kind = "number") {
  const name = kind + JSON.stringify(options);
  if (!formats.has(name)) formats.set(name, make());
  return formats.get(name);
}
