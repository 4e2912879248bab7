// The rows of one job: what it pushed, and what it could not store.

import { element } from "../dom.js";
import { link } from "../router.js";
import { moment, number, t, time, tn } from "../words.js";
import { GroupedRows } from "./grouped-rows.js";
import { PUSH_KINDS, PUSH_RESULTS, word } from "./words.js";

const OF_CUSTOMERS = new Set(["metafield", "tags"]);
const TONES = { applied: "ok", stale: "warn", refused: "bad", unknown: "warn", intended: "run" };

/** What the job has pushed to Shopify, by kind, result and what Shopify said. */
export function pushesOf(job, signal) {
  return new GroupedRows({
    ...places(job, "pushes", "push-groups"),
    signal,
    id: "pushes",
    title: t("Set at Shopify"),
    file: `pushes-${job.id}.csv`,
    columns: pushColumns(job.store),
    words: (group) => [word(PUSH_KINDS, group.kind), word(PUSH_RESULTS, group.result), group.detail].filter(Boolean).join(" · "),
    count: (group) => group.pushes,
    choose: ({ kind, result, detail }) => ({ kind, result, ...(detail === null ? {} : { detail: beginning(detail) }) }),
  });
}

/** The rows that the job could not store, by reason; `actions` are buttons above them. */
export function failuresOf(job, signal, actions) {
  return new GroupedRows({
    ...places(job, "failures", "failure-groups"),
    signal,
    id: "failed-rows",
    title: t("Failed rows"),
    file: `failed-rows-${job.id}.csv`,
    columns: failureColumns(),
    words: (group) => {
      const resolved = group.rows - group.unresolved;
      return resolved === 0 ? group.reason : `${group.reason} (${tn("{n} stored since", "{n} stored since", { n: resolved })})`;
    },
    count: (group) => group.rows,
    choose: ({ reason }) => ({ reason: beginning(reason) }),
    actions,
  });
}

const places = (job, member, groups) => ({
  path: `/api/jobs/${job.id}/${member}`,
  groupsPath: `/api/jobs/${job.id}/${groups}`,
  csvPath: `/api/jobs/${job.id}/${member}.csv`,
  member,
});

const pushColumns = (store) => [
  { key: "what", label: t("What"), cell: (push) => [owner(push, store), element("span", { class: "quiet block" }, what(push))] },
  { key: "change", label: t("Change"), cell: (push) => `${shown(push.old_value)} → ${shown(push.new_value)}` },
  { key: "result", label: t("Result"), cell: (push) => result(push) },
  { key: "reason", label: t("Why"), cell: (push) => push.reason },
  { key: "at", label: t("When"), cell: (push) => when(push.settled_at ?? push.intended_at), class: "nowrap" },
];

const failureColumns = () => [
  { key: "row", label: t("Row"), cell: (failure) => source(failure) },
  { key: "reason", label: t("Why"), cell: (failure) => failure.reason },
  {
    key: "since",
    label: t("Since then"),
    cell: (failure) => (failure.resolved_at ? element("span", { class: "tone-ok" }, t("stored at {time}", { time: time(failure.resolved_at) })) : t("still failing")),
  },
  { key: "payload", label: t("As it came"), cell: (failure) => payload(failure) },
];

function owner(push, store) {
  const name = [push.sku, push.title].filter(Boolean).join(" · ") || String(push.owner_id);
  const view = OF_CUSTOMERS.has(push.kind) ? "customers" : "items";
  return link(`/${view}/${push.owner_id}?store=${encodeURIComponent(store)}`, name);
}

/** "Stock · Quận 1" */
const what = (push) => [word(PUSH_KINDS, push.kind), push.name === "on_hand" ? t("on hand") : push.name, push.location_name ?? push.location_id].filter(Boolean).join(" · ");

function result(push) {
  const name = element("span", { class: `tone-${TONES[push.result] ?? "off"}` }, word(PUSH_RESULTS, push.result));
  return push.detail ? element("div", {}, name, element("span", { class: "quiet block" }, push.detail)) : name;
}

function source(failure) {
  const parts = [failure.sku, failure.name].filter(Boolean).join(" · ");
  const id = failure.source_id ?? t("without an id");
  return parts ? [parts, element("span", { class: "quiet block" }, id)] : id;
}

function payload(failure) {
  const title = failure.payload_truncated ? t("Show (cut off)") : t("Show");
  return element("details", {}, element("summary", {}, title), element("pre", { tabindex: "0" }, failure.payload));
}

const when = (iso) => element("time", { datetime: iso, title: moment(iso) }, time(iso));

/** A value as it was pushed: a number by the language, a text as it is. */
function shown(value) {
  if (value === null) return "–";
  return /^-?\d+(\.\d+)?$/.test(value) ? number(Number(value), { maximumFractionDigits: 4 }) : value;
}

/** As much of a text as the daemon takes to find the rows that have it. */
const beginning = (text) => [...text].slice(0, 400).join("");
