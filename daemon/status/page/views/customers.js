// Customers of both sides: searched by name, number or id, or listed by how they are mapped.

import { element } from "../dom.js";
import { SearchList } from "../lookup/search-list.js";
import { customerStates } from "../lookup/states.js";
import { link } from "../router.js";
import { t } from "../words.js";

export default {
  title: () => t("Customers"),

  async open(root, { query, signal }) {
    const list = new SearchList(root, {
      path: "/api/customers",
      rows: (answer) => answer.customers,
      states: customerStates(),
      title: t("Customers"),
      caption: t("Customers, the best match first"),
      label: t("Look for"),
      hint: t("Name, phone number, email or id"),
      empty: t("There are no such customers."),
      others: link("/items", t("Items"), { class: "button" }),
      key: (one) => `${one.shopify_id}/${one.nhanh_id}`,
      columns: [
        { key: "name", label: t("Customer"), cell: name },
        { key: "phone", label: t("Phone"), cell: (one) => one.phone },
        { key: "text", label: t("Who is it at Nhanh.vn?"), cell: (one) => element("span", { class: `dot tone-${one.tone}` }, one.text) },
      ],
      signal,
    });
    await list.open(query);
    return list;
  },
};

function name(one) {
  const called = one.name || one.email || t("without a name");
  if (one.shopify_id === null) return called;
  return element("div", {}, link(`/customers/${one.shopify_id}?${new URLSearchParams({ store: one.store })}`, called), one.email ? element("small", {}, one.email) : null);
}
