// One item: the verdict, all its values on both sides, what it is mapped to, what comes next, and what was pushed.

import { act } from "../actions.js";
import { getJson, post } from "../api.js";
import { button, element, prose, setHidden, steeringButton } from "../dom.js";
import { choiceButtons, noteField, noteOf, OF_VARIANTS, otherChoice, removeButton } from "../lookup/decisions.js";
import { Deeds } from "../lookup/deeds.js";
import { pushNow } from "../lookup/push-now.js";
import { link } from "../router.js";
import { table } from "../table.js";
import { ago, moment, money, t } from "../words.js";

const PAGE = 20; // pushes
const FOUND = 5; // products that a text may mean
const NOT_THERE = new Set([400, 404]);

export default {
  title: () => t("Item"),

  async open(root, { match, query, signal }) {
    const view = new ItemView(root, match[1], query.get("store") ?? "", signal);
    await view.open();
    return view;
  },
};

class ItemView {
  constructor(root, id, store, signal) {
    Object.assign(this, { root, id: Number(id), store, signal });
    this.path = `/api/items/${id}`;
  }

  async open() {
    try {
      this.#build(await getJson(`${this.path}?${this.#ofStore()}`, { signal: this.signal }));
    } catch (error) {
      if (!NOT_THERE.has(error.status)) throw error;
      this.root.append(
        element("h1", {}, t("There is no such item")),
        element("p", {}, error.message),
        element("p", {}, link(`/items?${new URLSearchParams({ q: this.id })}`, t("Look for it"))),
      );
    }
  }

  #ofStore(more = {}) {
    return new URLSearchParams({ store: this.store, ...more });
  }

  #build(item) {
    this.verdict = element("div");
    this.readings = element("div");
    this.places = table({ caption: t("Stock by location"), columns: placeColumns(), key: (one) => one.location_id });
    this.prices = table({ caption: t("Prices"), columns: priceColumns(), key: (one) => one.kind });
    this.next = element("ul");
    this.mapping = element("div", { class: "card" });
    this.pushes = this.#pushes();
    this.deeds = new Deeds();
    const about = { store: this.store, type: "SYNC_PRODUCTS", params: { variants: [this.id] }, signal: this.signal };
    this.push = pushNow({ ...about, done: () => Promise.all([this.#again(), this.pushes.again()]) });
    this.push.append(steeringButton(t("Check now"), (pressed) => act(pressed, () => this.#checkNow())));
    this.name = element("h1");
    this.facts = element("p", { class: "quiet" });
    this.root.append(
      element("p", {}, link("/items", t("Items"))),
      this.name,
      this.facts,
      this.verdict,
      this.push,
      this.readings,
      element("h2", {}, t("Stock")),
      this.places,
      element("h2", {}, t("Prices")),
      this.prices,
      element("h2", {}, t("What happens next")),
      element("div", { class: "card" }, this.next),
      element("h2", {}, t("Mapping")),
      this.mapping,
      this.pushes.node,
      this.deeds.node,
    );
    this.#show(item);
    this.pushes.load().catch(() => {});
  }

  #show(item) {
    const { variant, verdict, product } = item;
    this.item = item;
    this.name.textContent = variant.title || variant.sku || t("without a name");
    const codes = [variant.sku && t("SKU {sku}", { sku: variant.sku }), variant.barcode && t("barcode {barcode}", { barcode: variant.barcode })];
    const ids = [t("variant {id}", { id: variant.variant_id }), product && t("product {id} of Nhanh.vn", { id: product.id })];
    this.facts.textContent = [...codes, ...ids].filter(Boolean).join(" · ");
    this.verdict.className = `verdict tone-${verdict.tone}`;
    this.verdict.replaceChildren(element("h2", {}, ...prose(verdict.text)));
    this.places.show(item.places);
    this.prices.show(item.prices);
    setHidden(this.prices, item.prices.length === 0);
    this.next.replaceChildren(...item.next.map((sentence) => element("li", {}, ...prose(sentence))));
    this.readings.replaceChildren(...item.readings.filter((one) => one.problem !== null).map(failedReading));
    this.#showMapping(item);
    this.deeds.show(item.actions);
  }

  async #again() {
    this.#show(await getJson(`${this.path}?${this.#ofStore()}`, { signal: this.signal }));
  }

  async #checkNow() {
    const item = await post(`${this.path}/check`, { store: this.store });
    this.#show(item);
    const read = item.readings.filter((one) => one.problem === null).map((one) => one.source);
    return read.length > 0 ? t("read just now: {sources}", { sources: read.join(", ") }) : null;
  }

  #showMapping({ mapping }) {
    const note = noteField();
    const about = { store: this.store, id: this.id, done: () => this.#againSoon(), note: () => noteOf(note) };
    const choices = mapping.candidates.map((one) => ({ id: one.nhanh_id, name: called(one) }));
    const isDecided = mapping.source === "manual" && mapping.state !== "retired";
    this.mapping.replaceChildren(
      element("p", {}, ...prose(mapping.text)),
      mapping.name ? element("p", { class: "quiet" }, [mapping.code, mapping.name].filter(Boolean).join(" · ")) : "",
      note,
      choiceButtons(OF_VARIANTS, { ...about, choices, withNone: mapping.state !== "excluded" }),
      otherChoice(OF_VARIANTS, {
        ...about,
        label: t("Another product of Nhanh.vn: code, name or id"),
        find: (text) => this.#find(text),
        none: t("Nhanh.vn has no such product."),
      }),
      isDecided ? element("div", { class: "actions" }, removeButton(OF_VARIANTS, about)) : "",
    );
  }

  #againSoon() {
    clearTimeout(this.soon);
    this.soon = setTimeout(() => this.#again().catch(() => {}), 1_500); // the answer can be read until then
  }

  close() {
    clearTimeout(this.soon);
  }

  /** Products of Nhanh.vn that a text may mean. */
  async #find(text) {
    const answer = await getJson(`/api/items?${this.#ofStore({ q: text, limit: FOUND })}`, { signal: this.signal });
    const products = answer.items.filter((one) => one.nhanh_id !== null);
    return products.map((one) => ({ id: one.nhanh_id, name: [one.sku, one.title].filter(Boolean).join(" · ") || String(one.nhanh_id) }));
  }

  #pushes() {
    const columns = [
      { key: "at", label: t("When"), cell: (one) => element("span", { title: moment(one.intended_at) }, ago(one.intended_at)) },
      { key: "what", label: t("What"), cell: (one) => [kindName(one.kind), one.name === "on_hand" ? t("on hand") : null, one.location_name].filter(Boolean).join(" · ") },
      { key: "change", label: t("Change"), cell: (one) => `${one.old_value ?? "–"} → ${one.new_value ?? "–"}` },
      { key: "result", label: t("Result"), cell: pushResult },
      { key: "job", label: t("Job"), cell: (one) => element("span", {}, link(`/jobs/${one.job_id}`, t("view"))) },
    ];
    const shown = [];
    const rows = table({ caption: t("Pushes, newest first"), columns, key: (one) => one.id });
    let cursor = null;
    const load = async () => {
      const answer = await getJson(`${this.path}/pushes?${this.#ofStore({ limit: PAGE, ...(cursor ? { cursor } : {}) })}`, { signal: this.signal });
      shown.push(...answer.pushes);
      cursor = answer.next_cursor;
      rows.show(shown);
      setHidden(node, shown.length === 0);
      setHidden(group, cursor === null);
    };
    const more = button(t("More"), (pressed) => act(pressed, load));
    const group = element("div", { class: "actions more-rows", hidden: true }, more);
    const node = element("section", { hidden: true }, element("h2", {}, t("What was pushed")), rows, group);
    const again = () => {
      shown.length = 0;
      cursor = null;
      return load();
    };
    return { node, load, again };
  }
}

const called = (choice) => [choice.code, choice.name].filter(Boolean).join(" · ") || String(choice.nhanh_id);

const failedReading = (one) => element("p", { class: "notice tone-bad", role: "alert" }, `${one.source}: ${one.problem}`);

const placeColumns = () => [
  { key: "place", label: t("Location"), cell: (one) => one.location_name ?? String(one.location_id) },
  ...valueColumns(),
];

const priceColumns = () => [{ key: "kind", label: t("Price"), cell: (one) => kindName(one.kind) }, ...valueColumns()];

const valueColumns = () => [
  { key: "nhanh", label: t("Nhanh.vn"), class: "number", cell: (one) => seen(one.nhanh, one.seen_at_nhanh) },
  { key: "shopify", label: t("Shopify"), class: "number", cell: (one) => seen(one.shopify, one.seen_at_shopify, one.quantity) },
  { key: "should", label: t("Should be"), class: "number", cell: (one) => (one.should_be === null ? "–" : money(one.should_be)) },
  { key: "equal", label: t("Equal?"), cell: equality },
  { key: "why", label: t("Why"), cell: why },
];

/** A value, with which quantity of the stock it is, if it is one, and as of when it is known. */
function seen(value, at, quantity = null) {
  const shown = value === null ? "–" : [money(value), quantityName(quantity)].filter(Boolean).join(" ");
  return at === null ? shown : element("span", {}, shown, element("small", { title: moment(at) }, t("seen {ago}", { ago: ago(at) })));
}

function equality(one) {
  if (one.equal === null) return element("span", { class: "tone-off dot nowrap" }, t("nothing to compare"));
  return one.equal ? element("span", { class: "tone-ok dot nowrap" }, t("equal")) : element("span", { class: "tone-warn dot nowrap" }, t("differs"));
}

const why = (one) => element("details", {}, element("summary", {}, t("Why?")), element("p", {}, ...prose(one.text)));

const RESULT_TONES = { applied: "ok", intended: "run", stale: "warn", refused: "bad", unknown: "bad" };

function pushResult(one) {
  const names = { applied: t("set"), intended: t("under way"), stale: t("was changed meanwhile"), refused: t("refused"), unknown: t("outcome unknown") };
  return element("span", { class: `dot tone-${RESULT_TONES[one.result]}` }, names[one.result], one.detail ? element("small", {}, one.detail) : null);
}

function quantityName(quantity) {
  return { available: t("available"), on_hand: t("on hand") }[quantity] ?? null;
}

function kindName(kind) {
  const names = { stock: t("Stock"), activation: t("Stocked from now on"), price: t("Price"), compare_at_price: t("Compare-at price") };
  return names[kind] ?? kind;
}
