// What the states and origins of jobs are called.

import { number, t } from "../words.js";

/** How a run stands, in the order of the filter; the tone and the sentence of a run come with its summary. */
export const OUTCOMES = {
  pending: () => t("Waiting"),
  retrying: () => t("Trying again"),
  running: () => t("Running"),
  awaiting_approval: () => t("Waiting for approval"),
  completed: () => t("Completed"),
  completed_with_failures: () => t("Completed with failures"),
  repaired: () => t("Repaired since"),
  failed: () => t("Failed"),
  cancelled: () => t("Cancelled"),
  superseded: () => t("Superseded"),
};

/** The same in the words of a filter, where a name alone leaves a doubt. */
export const OUTCOME_CHOICES = {
  ...OUTCOMES,
  completed: () => t("Completed without failures"),
  completed_with_failures: () => t("Completed, rows still fail"),
  repaired: () => t("Failed, repaired since"),
  failed: () => t("Failed, not repaired"),
};

export const STATUSES = {
  PENDING: () => t("Waiting"),
  RUNNING: () => t("Running"),
  AWAITING_APPROVAL: () => t("Waiting for approval"),
  COMPLETED: () => t("Completed"),
  FAILED: () => t("Failed"),
  CANCELLED: () => t("Cancelled"),
};

export const TRIGGERS = {
  schedule: () => t("by schedule"),
  api: () => t("by hand"),
  cli: () => t("in the terminal"),
  webhook: () => t("by webhook"),
  retry: () => t("retried"),
};

export const ATTEMPT_RESULTS = {
  running: () => t("runs"),
  completed: () => t("completed"),
  failed: () => t("failed"),
  retried: () => t("failed, to be tried again"),
  released: () => t("given back, because the daemon stopped"),
  cancelled: () => t("cancelled"),
  asked: () => t("asked for approval"),
  lost: () => t("lost: the daemon or its connection was gone"),
};

export const PUSH_KINDS = {
  stock: () => t("Stock"),
  activation: () => t("Stocked at a location"),
  price: () => t("Price"),
  compare_at_price: () => t("Compare-at price"),
  metafield: () => t("Customer total"),
  tags: () => t("Customer tags"),
};

export const PUSH_RESULTS = {
  intended: () => t("under way"),
  applied: () => t("set"),
  stale: () => t("changed by others meanwhile"),
  refused: () => t("refused"),
  unknown: () => t("interrupted"),
};

const WAITS = {
  "the rate limit": () => t("the rate limit"),
  "an access token": () => t("an access token"),
  "a bulk operation": () => t("Shopify’s bulk operation"),
  "bulk operations of others": () => t("bulk operations of others"),
  "an answer from the source": () => t("an answer from the source"),
  "the source": () => t("an answer from the source"),
};

const PHASES = {
  reading_rows: () => t("reading rows"),
  reading_numbers: () => t("reading phone numbers"),
  settling_mappings: () => t("looking at the mappings that there are"),
  comparing_keys: () => t("comparing keys"),
  counting: () => t("counting what was found"),
  writing_mappings: () => t("writing mappings"),
  reading_prices: () => t("reading present prices"),
  planning: () => t("comparing both sides"),
  writing_plan: () => t("writing the sale’s prices down"),
};

/** The word of a table for a code; the code itself where the daemon is newer than this page. */
export const word = (table, code) => table[code]?.() ?? code;

/** What a running job does while no row of it moves, and how far it is with that. */
export function phaseWords({ name, done, of: all }) {
  const phase = word(PHASES, name);
  if (!done) return phase;
  if (all === null) return t("{phase}: {n}", { phase, n: number(done) });
  return t("{phase}: {n} of {all}", { phase, n: number(done), all: number(all) });
}

/** What a running job waits for. */
export const waitsFor = (what) => word(WAITS, what);
