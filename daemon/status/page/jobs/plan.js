// The result of matching and pushing: figures, and examples of what a dry run would do or what waits for approval.

import { element } from "../dom.js";
import { table } from "../table.js";
import { number, t } from "../words.js";

// As the tasks put them into a job's metadata.
const FIGURES = {
  topics: () => t("webhooks"),
  mapped: () => t("mapped"),
  excluded: () => t("excluded"),
  ambiguous: () => t("ambiguous"),
  unmatched: () => t("without a counterpart"),
  conflicts: () => t("keys that several share"),
  common_keys: () => t("keys of too many to mean one"),
  retired: () => t("mappings ended"),
  repaired: () => t("mappings moved"),
  restored: () => t("mappings restored"),
  stock_changes: () => t("stock values to set"),
  price_changes: () => t("prices to set"),
  zeroed: () => t("items to set to zero"),
  large_price_changes: () => t("large price changes"),
  price_changes_by_vat: () => t("price changes by the rule of VAT"),
  asked_by_rule: () => t("changes about which a rule asks"),
  would_change: () => t("to change"),
  tiers: () => t("customers by tier"),
  without_total: () => t("customers without a total"),
  metafields_not_read: () => t("customers whose fields are not read yet"),
  left_alone: () => t("left alone"),
};
// In this order: JSON in the database does not keep that of an object's members.
const COLUMNS = {
  kind: () => t("What"),
  key: () => t("Key"),
  sku: () => t("SKU"),
  variant_id: () => t("Variant"),
  shopify_id: () => t("Customer of Shopify"),
  shopify_name: () => t("Name at Shopify"),
  location_id: () => t("Location"),
  barcode: () => t("Barcode"),
  nhanh_id: () => t("Id at Nhanh.vn"),
  nhanh_code: () => t("Code at Nhanh.vn"),
  nhanh_name: () => t("Name at Nhanh.vn"),
  phone: () => t("Phone"),
  source: () => t("Mapped by"),
  tier: () => t("Tier"),
  old: () => t("Now"),
  new: () => t("Then"),
};
const GROUPS = {
  matched: () => t("New mappings"),
  moved: () => t("Mappings moved"),
  retired: () => t("Mappings ended"),
  restored: () => t("Mappings restored"),
  ambiguous: () => t("Ambiguous"),
  unmatched: () => t("Without a counterpart"),
  common_keys: () => t("Keys of too many to mean one"),
};
// Why values are left alone, as daemon/sync/products/obstacles.py calls it.
const OBSTACLES = {
  variant_deleted: () => t("gone from Shopify"),
  unmapped: () => t("not mapped"),
  excluded: () => t("excluded"),
  product_deleted: () => t("gone from Nhanh.vn"),
  not_pulled_yet: () => t("stock at Shopify not read yet"),
  untracked: () => t("stock not tracked at Shopify"),
  bundle: () => t("bundle at Shopify"),
  no_stock: () => t("voucher or service"),
  combo: () => t("combo with unknown components"),
  stock_unknown: () => t("stock not reported by Nhanh.vn yet"),
  shared_item: () => t("stock shared with another variant"),
  fulfilment_service: () => t("stock kept by a fulfilment service"),
  depot_hidden: () => t("depot that can’t be read"),
  location_inactive: () => t("location not active"),
  by_rule: () => t("left alone by a rule"),
  price_by_rule: () => t("price left alone by a rule"),
  on_sale: () => t("on sale"),
  gift_card: () => t("gift card"),
  bundle_price: () => t("bundle, priced by its app"),
  subscription: () => t("sold by subscription only"),
  combined_listing: () => t("parent of a combined listing"),
  vat_not_read_yet: () => t("VAT not read yet"),
  vat_unknown: () => t("VAT unknown"),
  no_price: () => t("no price at Nhanh.vn"),
  does_not_stick: () => t("changed back by Shopify"),
};
const LAST = "reason";

/** What a job says about its plan; null for jobs that have none. */
export function planOf(job) {
  const { notices = [], sample = [], sample_of: all = 0, would_ask: question, left_alone_examples: examples = {} } = job.metadata;
  const said = figures(job.metadata);
  const groups = Array.isArray(sample) ? [["", sample]] : Object.entries(sample);
  const parts = [
    ...notices.map((notice) => element("p", { class: "tone-warn" }, notice)),
    said.length ? element("p", {}, said.join(" · ")) : null,
    ...Object.entries(examples ?? {}).map(([reason, names]) =>
      element("p", { class: "quiet" }, t("Left alone ({reason}), such as {names}", { reason: obstacle(reason), names: names.join(", ") })),
    ),
    question ? element("p", { class: "tone-ask" }, t("It would ask first: {question}", { question })) : null,
    ...groups.filter(([, rows]) => rows.length > 0).flatMap(([name, rows]) => examplesOf(name, rows)),
    all > sample.length ? element("p", { class: "quiet" }, t("{shown} of {n} changes", { shown: number(sample.length), n: number(all) })) : null,
  ].filter(Boolean);
  if (parts.length === 0) return null;
  const title = job.params.dry_run ? t("What would be done") : t("What was found");
  return element("section", { class: "job-plan" }, element("h2", {}, title), element("div", { class: "card" }, parts));
}

function figures(metadata) {
  return Object.entries(FIGURES).flatMap(([name, words]) => {
    const value = metadata[name];
    if (typeof value === "number") return [t("{figure}: {n}", { figure: words(), n: number(value) })];
    const parts = Object.entries(value ?? {}).map(([key, count]) => `${name === "topics" ? key : obstacle(key)} ${shown(count)}`);
    return parts.length ? [t("{figure}: {n}", { figure: words(), n: parts.join(", ") })] : [];
  });
}

function examplesOf(name, rows) {
  const title = GROUPS[name]?.() ?? plain(name);
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))].filter((key) => rows.some((row) => row[key] !== null));
  const columns = names.sort((one, other) => place(one) - place(other)).map((key) => ({
    key,
    label: key === LAST ? t("Why") : (COLUMNS[key]?.() ?? plain(key)),
    cell: (row) => shown(row[key]),
  }));
  const heading = title ? element("h3", {}, title) : null;
  return [heading, element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title || t("Examples") }, table({ caption: title || t("Examples"), columns, rows }))];
}

function place(name) {
  if (name === LAST) return Infinity;
  const known = Object.keys(COLUMNS).indexOf(name);
  return known < 0 ? Object.keys(COLUMNS).length : known;
}

const obstacle = (code) => OBSTACLES[code]?.() ?? plain(code);

const plain = (code) => code.replaceAll("_", " ");

function shown(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "number") return number(value, { useGrouping: false });
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
