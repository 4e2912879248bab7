// What questions and decisions are called.

import { element } from "../dom.js";
import { link } from "../router.js";
import { moment, number, t, tn } from "../words.js";

const COUNTED = {
  stock: (n) => tn("{n} stock value", "{n} stock values", { n }),
  price: (n) => tn("{n} price", "{n} prices", { n }),
  compare_at_price: (n) => tn("{n} compare-at price", "{n} compare-at prices", { n }),
};
const WAYS = { page: () => t("on the page"), api: () => t("over the API"), cli: () => t("in the terminal") };

/** "98 stock values, 20 prices" */
export const counted = (counts) =>
  Object.entries(counts)
    .map(([kind, n]) => COUNTED[kind]?.(n) ?? `${number(n)} ${kind}`)
    .join(", ");

export const total = (counts) => Object.values(counts).reduce((sum, n) => sum + n, 0);

/** "asked again by 2 runs"; null for a question that one run has asked. */
export const askedAgain = ({ asked_runs: runs }) => (runs > 1 ? tn("asked again by {n} run", "asked again by {n} runs", { n: runs - 1 }) : null);

/** What has become of a question that is not open any more. */
export function outcome({ state, decided_way: way, decided_by: who }) {
  const by = decider(WAYS[way]?.(), who);
  const said = (what) => (by ? `${what} ${by}` : what);
  switch (state) {
    case "approved":
      return said(t("Approved"));
    case "carried_out":
      return `${said(t("Approved"))}, ${t("carried out")}`;
    case "rejected":
      return said(t("Rejected"));
    default:
      return t("Withdrawn: a later run found nothing left to ask");
  }
}

const decider = (way, who) => (way && who ? t("by {who} {way}", { who, way }) : way);

export const TONES = { open: "ask", approved: "run", carried_out: "ok", rejected: "off", withdrawn: "off" };

/** The job that waits, or that has carried it out. */
export const jobLink = (id, text) => link(`/jobs/${id}`, text);

/** A time, with the whole moment to be read on it. */
export const at = (iso, shown) => element("time", { datetime: iso, title: moment(iso) }, shown);
