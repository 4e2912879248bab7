// What a campaign would do, before it does it.

import { element } from "../dom.js";
import { table } from "../table.js";
import { money, number, t, tn } from "../words.js";
import { prices, variant } from "./prices.js";
import { LISTS } from "./words.js";

const SHOWN = 20; // variants
const NAMED = 10; // of a list that matches nothing
const REASONS = 5; // shown of those for which variants are skipped

/** The nodes that tell of it. */
export function outcome({ totals, skipped, conflicts, unmatched, items }) {
  const unknown = strangers(unmatched);
  if (totals.variants === 0) return [element("p", { class: "tone-bad" }, t("This matches no variants.")), ...unknown];
  const onSale = items.filter((item) => item.new_price !== null && !item.conflict);
  const listed = onSale.length > 0 ? onSale : items;
  const title = listed.length > SHOWN ? t("The first {n} of {all}", { n: SHOWN, all: number(listed.length) }) : t("Variants");
  return [
    element("p", { class: "strong" }, figures(totals)),
    ...told(t("Held by other sales at an overlapping time:"), "tone-bad", Object.entries(conflicts)),
    ...told(t("Skipped:"), "quiet", alike(skipped)),
    ...unknown,
    element("h2", {}, title),
    table({ caption: title, columns: columns(), rows: listed.slice(0, SHOWN), key: (item) => item.variant_id }),
  ];
}

function figures(totals) {
  const variants = t("{n} of {all} variants would be on sale", { n: number(totals.on_sale), all: number(totals.variants) });
  if (!totals.on_sale) return variants;
  const less = totals.average_discount_percent === null ? "" : `, ${t("{share} less", { share: number(totals.average_discount_percent / 100, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 }) })}`;
  return `${variants}: ${money(totals.old_total)} → ${money(totals.new_total)}${less}`;
}

function told(title, tone, entries) {
  if (entries.length === 0) return [];
  const lines = entries.slice(0, REASONS).map(([what, count]) => `${number(count)}: ${what}`);
  const rest = entries.slice(REASONS).reduce((sum, [, count]) => sum + count, 0);
  if (rest) lines.push(tn("{n} for another reason", "{n} for other reasons", { n: rest }));
  return [element("p", { class: tone }, title), element("ul", {}, lines.map((line) => element("li", {}, line)))];
}

/** What is named but not in the shop: {targets: {skus: ["AO-1"]}}. */
function strangers(unmatched) {
  const lines = Object.entries(unmatched).flatMap(([part, kinds]) => Object.entries(kinds).map(([kind, names]) => stranger(part, kind, names)));
  if (lines.length === 0) return [];
  return [element("p", { class: "tone-bad" }, t("Nothing in the shop matches:")), element("ul", {}, lines.map((line) => element("li", {}, line)))];
}

function stranger(part, kind, names) {
  const said = { list: LISTS[kind](), names: names.slice(0, NAMED).join(", ") };
  const line = part === "excludes" ? t("excluded {list}: {names}", said) : t("{list}: {names}", said);
  return names.length > NAMED ? `${line} ${tn("and {n} more", "and {n} more", { n: names.length - NAMED })}` : line;
}

/** Reasons that differ only by their figures, together: [the most frequent of them, how many]. */
function alike(reasons) {
  const groups = new Map();
  for (const [reason, count] of Object.entries(reasons)) {
    const kind = reason.replaceAll(/\d[\d.,]*/g, "#");
    const group = groups.get(kind) ?? groups.set(kind, { reason, kinds: 0, count: 0 }).get(kind);
    group.kinds += 1;
    group.count += count;
  }
  return [...groups.values()].map(({ reason, kinds, count }) => [kinds > 1 ? t("{reason}, and the like", { reason }) : reason, count]);
}

const columns = () => [
  { key: "variant", label: t("Variant"), cell: variant },
  { key: "now", label: t("Now"), cell: (item) => prices(item.price, item.compare_at_price) },
  { key: "then", label: t("During the sale"), cell: (item) => prices(item.new_price, item.new_compare_at_price) },
  { key: "note", label: t("Note"), cell: (item) => element("span", { class: item.conflict ? "tone-bad" : null }, remark(item)) },
];

function remark(item) {
  if (item.conflict) return t("held by {sale}", { sale: item.conflict });
  return item.skipped ?? (item.is_held ? t("on sale in another campaign now; its price is restored first") : "");
}
