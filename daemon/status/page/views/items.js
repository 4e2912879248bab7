// Items of both sides: searched by whatever one has of them, or listed by how they are mapped.

import { element } from "../dom.js";
import { choiceButtons, OF_VARIANTS } from "../lookup/decisions.js";
import { pushNow } from "../lookup/push-now.js";
import { SearchList } from "../lookup/search-list.js";
import { itemStates } from "../lookup/states.js";
import { link } from "../router.js";
import { money, t } from "../words.js";

const OPEN = new Set(["unmatched", "ambiguous", "retired"]); // a person may choose

export default {
  title: () => t("Items"),

  async open(root, { query, signal }) {
    const list = new SearchList(root, {
      path: "/api/items",
      rows: (answer) => answer.items,
      states: itemStates(),
      title: t("Items"),
      caption: t("Items, the best match first"),
      label: t("Look for"),
      hint: t("SKU, barcode, name, id or address"),
      empty: t("There are no such items."),
      others: link("/customers", t("Customers"), { class: "button" }),
      key: (item) => `${item.variant_id}/${item.nhanh_id}`,
      columns: [
        { key: "title", label: t("Item"), cell: name },
        { key: "shopify", label: t("Shopify"), class: "number", cell: (item) => amount(item.shopify_stock) },
        { key: "nhanh", label: t("Nhanh.vn"), class: "number", cell: (item) => amount(item.nhanh_stock) },
        { key: "price", label: t("Price"), class: "number", cell: (item) => amount(item.price) },
        { key: "text", label: t("Is it right?"), cell: (item) => verdict(item, signal) },
      ],
      signal,
    });
    await list.open(query);
    return list;
  },
};

const amount = (text) => (text === null ? null : money(text));

function name(item) {
  const title = item.title || item.sku || t("without a name");
  const shown = item.variant_id === null ? title : link(itemAddress(item), title);
  const codes = [item.sku, item.barcode].filter(Boolean).join(" · ");
  return element("div", {}, shown, element("small", {}, codes || t("without a code")));
}

const itemAddress = (item) => `/items/${item.variant_id}?${new URLSearchParams({ store: item.store })}`;

function verdict(item, signal) {
  const said = element("span", { class: `dot tone-${item.tone}` }, item.text);
  if (item.state === "mapped" && item.tone !== "ok") return element("div", {}, said, push(item, signal));
  if (!OPEN.has(item.state) || item.candidates.length === 0) return said;
  const choices = item.candidates.slice(0, 3).map((one) => ({ id: one.nhanh_id, name: [one.code, one.name].filter(Boolean).join(" · ") || one.nhanh_id }));
  return element("div", {}, said, choiceButtons(OF_VARIANTS, { store: item.store, id: item.variant_id, choices, withNone: true }));
}

/** What is done is said beside the button; the list stays as it was read. */
const push = ({ store, variant_id }, signal) =>
  pushNow({ store, type: "SYNC_PRODUCTS", params: { variants: [variant_id] }, signal, done: async () => {} });
