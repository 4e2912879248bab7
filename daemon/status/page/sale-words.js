// Sale campaigns in words: their discount, whom they are for, how far they are, how late.

import { amount, now, number, span } from "./format.js";

export const LATE = 5; // seconds from which a start or an end counts as late, as the daemon has it

const STATES = {
  DRAFT: "Draft",
  SCHEDULED: "Scheduled",
  APPLYING: "Applying",
  ACTIVE: "On sale",
  REVERTING: "Reverting",
  COMPLETED: "Completed",
  CANCELLED: "Cancelled",
  FAILED: "Failed",
  NEEDS_ATTENTION: "Needs a decision",
};

export const stateName = (state) => STATES[state] ?? state;

const WAITING = new Set(["DRAFT", "SCHEDULED"]);
const ENDED = new Set(["COMPLETED", "CANCELLED", "FAILED"]);

export const isWaiting = (sale) => WAITING.has(sale.state);
export const isOnSale = (sale) => sale.state === "APPLYING" || sale.state === "ACTIVE";
export const hasEnded = (sale) => ENDED.has(sale.state);

/** "20 % off, to 1,000, not below 50,000". */
export function discount(definition) {
  const parts = [definition.percent ? `${amount(definition.percent)}\u00a0% off` : `${amount(definition.amount)} off`];
  if (definition.discount_from === "price") parts[0] += " the price";
  if (definition.round_to && Number(definition.round_to) !== 1) parts.push(`to ${amount(definition.round_to)}`);
  if (definition.ending) parts.push(`ending ${amount(definition.ending)}`);
  if (definition.floor) parts.push(`not below ${amount(definition.floor)}`);
  return parts.join(", ");
}

/** The lists by which variants are chosen, as the API names them. */
export const LISTS = {
  collections: "Collections",
  product_types: "Product types",
  vendors: "Vendors",
  tags: "Tags",
  skus: "SKUs",
  products: "Product ids",
};
const FEW = 5;

/** "all variants", or "tags tet, summer · 120 SKUs"; "" where nothing is named. */
export function selection(chosen) {
  if (chosen?.all) return "all variants";
  return Object.entries(LISTS)
    .filter(([name]) => chosen?.[name]?.length)
    .map(([name, label]) => {
      const [entries, words] = [chosen[name], label.charAt(0).toLowerCase() + label.slice(1)];
      const plain = name === "skus" ? label : words;
      return entries.length > FEW ? `${number(entries.length)} ${plain}` : `${plain} ${entries.join(", ")}`;
    })
    .concat(chosen?.skus_file ? [`SKUs of ${chosen.skus_file}`] : [])
    .join(" · ");
}

const ITEM_STATES = {
  PLANNED: "planned",
  APPLYING: "being put on sale",
  APPLIED: "on sale",
  REVERTING: "being restored",
  REVERTED: "restored",
  DRIFTED: "changed by somebody else",
  KEPT: "left as somebody else set them",
  GONE: "gone from Shopify",
  SKIPPED: "skipped",
  REFUSED: "refused by Shopify",
  STUCK: "stuck: Shopify refuses the old price",
};

/** "12 skipped, 3 gone from Shopify", of the states named. */
export const counted = (counts, states = Object.keys(ITEM_STATES)) =>
  states.filter((state) => counts[state]).map((state) => `${number(counts[state])} ${ITEM_STATES[state]}`).join(", ");

/** How far a campaign is: a text, the share that is done (null: no bar), and what else happened to variants. */
export function progress(sale) {
  const counts = sale.counts ?? {};
  const of = (...states) => states.reduce((sum, state) => sum + (counts[state] ?? 0), 0);
  const meant = Object.values(counts).reduce((sum, count) => sum + count, 0) - of("SKIPPED");
  const share = (...open) => (meant ? 1 - of(...open) / meant : 0);
  const rest = counted(counts, ["KEPT", "GONE", "SKIPPED"]);
  switch (sale.state) {
    case "DRAFT":
      return { text: meant ? `${number(meant)} variants planned` : "Not planned yet", share: null, rest };
    case "SCHEDULED":
      return { text: `${number(meant)} variants planned`, share: null, rest };
    case "APPLYING":
    case "ACTIVE": {
      const done = share("PLANNED", "APPLYING");
      const text = `${number(of("APPLIED"))} of ${number(meant)} on sale`;
      return { text, share: sale.state === "APPLYING" || done < 1 ? done : null, rest };
    }
    case "REVERTING":
      return {
        text: `${number(of("REVERTED"))} of ${number(meant)} restored`,
        share: share("PLANNED", "APPLYING", "APPLIED", "REVERTING"),
        rest,
      };
    default: {
      const text = meant ? `${number(of("REVERTED"))} of ${number(meant)} restored` : "Nothing was on sale";
      return { text, share: null, rest };
    }
  }
}

/** What is late about a campaign's start, or was; "" where nothing is. */
export function lateStart(sale) {
  if (sale.overdue.start_seconds > 0) return overdue(sale.starts_at);
  return behind(sale.starts_at, sale.started_at, "began");
}

/** The same for its end. */
export function lateEnd(sale) {
  if (sale.overdue.end_seconds > 0) return overdue(sale.ends_at);
  return behind(sale.ends_at, sale.ended_at, "began to end");
}

/** "40 s late", "3 s early", "on time". */
export function lateness(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (Math.abs(seconds) < 1) return "on time";
  return `${span(Math.abs(seconds))} ${seconds > 0 ? "late" : "early"}`;
}

function overdue(planned) {
  const seconds = (now() - Date.parse(planned)) / 1000;
  return seconds >= LATE ? `${span(seconds)} overdue` : "";
}

function behind(planned, actual, what) {
  if (!planned || !actual) return "";
  const seconds = (Date.parse(actual) - Date.parse(planned)) / 1000;
  return seconds >= LATE ? `${what} ${span(seconds)} late` : "";
}
