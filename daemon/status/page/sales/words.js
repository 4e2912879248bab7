// Sale campaigns in words: their discount, whom they are for, how far they are, how late.

import { now } from "../now.js";
import { duration, money, number, t, tn } from "../words.js";

export const LATE = 5; // seconds from which a start or an end counts as late, as the daemon has it

const STATES = {
  DRAFT: () => t("Draft"),
  SCHEDULED: () => t("Scheduled"),
  APPLYING: () => t("Being put on sale"),
  ACTIVE: () => t("On sale"),
  REVERTING: () => t("Being restored"),
  COMPLETED: () => t("Completed"),
  CANCELLED: () => t("Cancelled"),
  FAILED: () => t("Failed"),
  NEEDS_ATTENTION: () => t("Needs a decision"),
};
const TONES = { APPLYING: "run", ACTIVE: "ok", REVERTING: "run", FAILED: "bad", NEEDS_ATTENTION: "ask" };

export const stateName = (state) => STATES[state]?.() ?? state;
export const stateTone = (state) => TONES[state] ?? "off";

const WAITING = new Set(["DRAFT", "SCHEDULED"]);
const ENDED = new Set(["COMPLETED", "CANCELLED", "FAILED"]);

export const isWaiting = (sale) => WAITING.has(sale.state);
export const isOnSale = (sale) => sale.state === "APPLYING" || sale.state === "ACTIVE";
export const hasEnded = (sale) => ENDED.has(sale.state);

/** "20% off, rounded down to 1,000, not below 50,000". */
export function discount(definition) {
  const parts = [base(definition)];
  if (definition.round_to && Number(definition.round_to) !== 1) parts.push(t("rounded down to {amount}", { amount: money(definition.round_to) }));
  if (definition.ending) parts.push(t("ending with {amount}", { amount: money(definition.ending) }));
  if (definition.floor) parts.push(t("not below {amount}", { amount: money(definition.floor) }));
  return parts.join(", ");
}

function base({ percent, amount, discount_from: from }) {
  const off = percent ? number(Number(percent) / 100, { style: "percent", maximumFractionDigits: 2 }) : money(amount);
  return from === "price" ? t("{discount} off the price", { discount: off }) : t("{discount} off", { discount: off });
}

/** The lists by which variants are chosen, as the API names them. */
export const LISTS = {
  collections: () => t("Collections"),
  product_types: () => t("Product types"),
  vendors: () => t("Vendors"),
  tags: () => t("Tags"),
  skus: () => t("SKUs"),
  products: () => t("Products"),
};
const FEW = 5;

/** "All variants", or "Tags: tet, summer · SKUs: 120"; "" where nothing is named. */
export function selection(chosen) {
  if (chosen?.all) return t("All variants");
  const parts = Object.entries(LISTS)
    .filter(([name]) => chosen?.[name]?.length)
    .map(([name, label]) => `${label()}: ${chosen[name].length > FEW ? number(chosen[name].length) : chosen[name].join(", ")}`);
  if (chosen?.skus_file) parts.push(t("SKUs of {file}", { file: chosen.skus_file }));
  return parts.join(" · ");
}

const ITEM_STATES = {
  PLANNED: (n) => tn("{n} planned", "{n} planned", { n }),
  APPLYING: (n) => tn("{n} being put on sale", "{n} being put on sale", { n }),
  APPLIED: (n) => tn("{n} on sale", "{n} on sale", { n }),
  REVERTING: (n) => tn("{n} being restored", "{n} being restored", { n }),
  REVERTED: (n) => tn("{n} restored", "{n} restored", { n }),
  DRIFTED: (n) => tn("{n} changed by somebody else", "{n} changed by somebody else", { n }),
  KEPT: (n) => tn("{n} left as somebody else set it", "{n} left as somebody else set them", { n }),
  GONE: (n) => tn("{n} gone from Shopify", "{n} gone from Shopify", { n }),
  SKIPPED: (n) => tn("{n} skipped", "{n} skipped", { n }),
  REFUSED: (n) => tn("{n} refused by Shopify", "{n} refused by Shopify", { n }),
  STUCK: (n) => tn("{n} stuck: Shopify refuses the old price", "{n} stuck: Shopify refuses the old price", { n }),
};

/** "12 skipped, 3 gone from Shopify", of the states named. */
export const counted = (counts, states = Object.keys(ITEM_STATES)) =>
  states.filter((state) => counts[state]).map((state) => ITEM_STATES[state](counts[state])).join(", ");

/** How far a campaign is: a text, the share that is done (null: no bar), and what else happened to variants. */
export function progress(sale) {
  const counts = sale.counts ?? {};
  const of = (...states) => states.reduce((sum, state) => sum + (counts[state] ?? 0), 0);
  const meant = Object.values(counts).reduce((sum, count) => sum + count, 0) - of("SKIPPED");
  const share = (...open) => (meant ? 1 - of(...open) / meant : 0);
  const rest = counted(counts, ["KEPT", "GONE", "SKIPPED"]);
  const planned = () => tn("{n} variant planned", "{n} variants planned", { n: meant });
  const restored = () => t("{done} of {all} restored", { done: number(of("REVERTED")), all: number(meant) });
  switch (sale.state) {
    case "DRAFT":
      return { text: meant ? planned() : t("Not planned yet"), share: null, rest };
    case "SCHEDULED":
      return { text: planned(), share: null, rest };
    case "APPLYING":
    case "ACTIVE": {
      const done = share("PLANNED", "APPLYING");
      const text = t("{done} of {all} on sale", { done: number(of("APPLIED")), all: number(meant) });
      return { text, share: sale.state === "APPLYING" || done < 1 ? done : null, rest };
    }
    case "REVERTING":
      return { text: restored(), share: share("PLANNED", "APPLYING", "APPLIED", "REVERTING"), rest };
    default:
      return { text: meant ? restored() : t("Nothing was on sale"), share: null, rest };
  }
}

/** What is late about a campaign's start, or was; "" where nothing is. */
export function lateStart(sale) {
  if (sale.overdue.start_seconds > 0) return overdue(sale.starts_at);
  const seconds = behind(sale.starts_at, sale.started_at);
  return seconds >= LATE ? t("began {duration} late", { duration: duration(seconds) }) : "";
}

/** The same for its end. */
export function lateEnd(sale) {
  if (sale.overdue.end_seconds > 0) return overdue(sale.ends_at);
  const seconds = behind(sale.ends_at, sale.ended_at);
  return seconds >= LATE ? t("began to end {duration} late", { duration: duration(seconds) }) : "";
}

/** "40 s late", "3 s early", "on time". */
export function lateness(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (Math.abs(seconds) < 1) return t("on time");
  const shown = { duration: duration(Math.abs(seconds)) };
  return seconds > 0 ? t("{duration} late", shown) : t("{duration} early", shown);
}

function overdue(planned) {
  const seconds = (now() - Date.parse(planned)) / 1000;
  return seconds >= LATE ? t("{duration} overdue", { duration: duration(seconds) }) : "";
}

const behind = (planned, actual) => (planned && actual ? (Date.parse(actual) - Date.parse(planned)) / 1000 : 0);
