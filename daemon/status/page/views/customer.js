// One customer: both sides, who is who and why, decisions by hand, and what was pushed.

import { getJson } from "../api.js";
import { element, prose, setHidden } from "../dom.js";
import { choiceButtons, noteField, noteOf, OF_CUSTOMERS, otherChoice, removeButton } from "../lookup/decisions.js";
import { Deeds } from "../lookup/deeds.js";
import { pushNow } from "../lookup/push-now.js";
import { link } from "../router.js";
import { table } from "../table.js";
import { ago, moment, money, t } from "../words.js";

const FOUND = 5; // customers whom a text may mean
const NOT_THERE = new Set([400, 404]);

export default {
  title: () => t("Customer"),

  async open(root, { match, query, signal }) {
    const view = new CustomerView(root, match[1], query.get("store") ?? "", signal);
    await view.open();
    return view;
  },
};

class CustomerView {
  constructor(root, id, store, signal) {
    Object.assign(this, { root, id: Number(id), store, signal });
  }

  async open() {
    try {
      this.#build(await this.#read());
    } catch (error) {
      if (!NOT_THERE.has(error.status)) throw error;
      this.root.append(
        element("h1", {}, t("There is no such customer")),
        element("p", {}, error.message),
        element("p", {}, link(`/customers?${new URLSearchParams({ q: this.id })}`, t("Look for them"))),
      );
    }
  }

  close() {
    clearTimeout(this.soon);
  }

  #read() {
    return getJson(`/api/customers/${this.id}?${new URLSearchParams({ store: this.store })}`, { signal: this.signal });
  }

  #build(customer) {
    this.name = element("h1");
    this.verdict = element("div");
    this.sides = element("div", { class: "sides" });
    this.mapping = element("div", { class: "card" });
    const about = { store: this.store, type: "SYNC_CUSTOMERS", params: { ids: [this.id] }, signal: this.signal };
    this.push = pushNow({ ...about, done: () => this.#again() });
    this.pushes = table({ caption: t("Pushes, newest first"), columns: pushColumns(), key: (one) => one.id });
    this.pushed = element("section", {}, element("h2", {}, t("What was pushed")), this.pushes);
    this.deeds = new Deeds();
    this.root.append(
      element("p", {}, link("/customers", t("Customers"))),
      this.name,
      this.verdict,
      this.push,
      this.sides,
      element("h2", {}, t("Mapping")),
      this.mapping,
      this.pushed,
      this.deeds.node,
    );
    this.#show(customer);
  }

  #show(customer) {
    const { shopify, nhanh, mapping } = customer;
    this.name.textContent = shopify.name || shopify.email || t("without a name");
    this.verdict.className = `verdict tone-${customer.tone}`;
    this.verdict.replaceChildren(element("h2", {}, ...prose(customer.text)));
    this.sides.replaceChildren(side(t("Shopify"), shopifyFacts(shopify)), nhanh ? side(t("Nhanh.vn"), nhanhFacts(nhanh)) : "");
    this.#showMapping(mapping);
    this.deeds.show(customer.actions);
    this.pushes.show(customer.pushes);
    setHidden(this.pushed, customer.pushes.length === 0);
  }

  #showMapping(mapping) {
    const note = noteField();
    const about = { store: this.store, id: this.id, done: () => this.#againSoon(), note: () => noteOf(note) };
    const choices = mapping.candidates.map((one) => ({ id: one.nhanh_id, name: called(one) }));
    this.mapping.replaceChildren(
      note,
      choiceButtons(OF_CUSTOMERS, { ...about, choices, withNone: mapping.state !== "excluded" }),
      otherChoice(OF_CUSTOMERS, {
        ...about,
        label: t("Another customer of Nhanh.vn: name, phone number or id"),
        find: (text) => this.#find(text),
        none: t("Nhanh.vn has no such customer."),
      }),
      mapping.source === "manual" ? element("div", { class: "actions" }, removeButton(OF_CUSTOMERS, about)) : "",
    );
  }

  /** Customers of Nhanh.vn whom a text may mean. */
  async #find(text) {
    const asked = new URLSearchParams({ store: this.store, q: text, limit: FOUND });
    const answer = await getJson(`/api/customers?${asked}`, { signal: this.signal });
    const buyers = answer.customers.filter((one) => one.nhanh_id !== null);
    return buyers.map((one) => ({ id: one.nhanh_id, name: [one.name, one.phone, one.nhanh_id].filter(Boolean).join(" · ") }));
  }

  async #again() {
    this.#show(await this.#read());
  }

  #againSoon() {
    clearTimeout(this.soon);
    this.soon = setTimeout(() => this.#again().catch(() => {}), 1_500); // the answer can be read until then
  }
}

const called = (choice) => [choice.name, choice.phone ?? choice.mobile, choice.nhanh_id].filter(Boolean).join(" · ");

const side = (title, facts) =>
  element("section", { class: "card" }, element("h2", {}, title), element("dl", {}, ...facts.filter(([, value]) => value).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)])));

const shopifyFacts = (one) => [
  [t("Id"), String(one.id)],
  [t("Name"), one.name],
  [t("Phone"), [one.phone, one.address_phone].filter(Boolean).join(" · ")],
  [t("Numbers read"), one.numbers.join(", ")],
  [t("Email"), one.email],
  [t("Note"), one.note],
  [t("Tags"), one.tags.join(", ")],
  [t("Spent"), one.amount_spent && `${money(one.amount_spent)} ${one.currency ?? ""}`],
  [t("Gone since"), one.deleted_at && moment(one.deleted_at)],
];

const nhanhFacts = (one) => [
  [t("Id"), String(one.id)],
  [t("Name"), one.name],
  [t("Phone"), one.mobile],
  [t("Numbers read"), one.numbers.join(", ")],
  [t("Email"), one.email],
  [t("Code"), one.code],
  [t("Spent"), one.total_amount && money(one.total_amount)],
  [t("Gone since"), one.deleted_at && moment(one.deleted_at)],
];

const pushColumns = () => [
  { key: "at", label: t("When"), cell: (one) => element("span", { title: moment(one.intended_at) }, ago(one.intended_at)) },
  { key: "what", label: t("What"), cell: (one) => (one.kind === "tags" ? t("Tags") : one.name) },
  { key: "change", label: t("Change"), cell: (one) => `${one.old_value ?? "–"} → ${one.new_value ?? "–"}` },
  { key: "result", label: t("Result"), cell: (one) => (one.detail ? `${one.result}: ${one.detail}` : one.result) },
  { key: "job", label: t("Job"), cell: (one) => element("span", {}, link(`/jobs/${one.job_id}`, t("view"))) },
];
