// The form of a new sale: what a person fills in becomes a definition, previewed or created.

import { post } from "./api.js";
import { byId, element, setAttribute, setHidden, setText } from "./dom.js";
import { amount, number, zoneName } from "./format.js";
import { prices } from "./sale-details.js";
import { LISTS } from "./sale-words.js";

const SHOWN = 20; // variants of a preview
const NAMED = 10; // of a list that matches nothing
const REASONS = 5; // shown of those for which variants are skipped
const AMOUNTS = ["round_to", "ending", "floor"];
const EXAMPLES = {
  collections: "handles or ids, such as summer, sale",
  product_types: "such as Áo thun, Quần",
  vendors: 'with commas in quotes: "May, Co."',
  tags: "such as tet, new",
  skus: "separated by commas or lines",
  products: "Shopify ids",
};

export class SaleForm {
  /** `attempt(work, place)` carries out an action and shows its error at `place`; `onCreated(sale)` is called for a new one. */
  constructor(attempt, onCreated) {
    this.attempt = attempt;
    this.onCreated = onCreated;
    this.form = byId("sale-form");
    this.fields = this.form.elements;
    this.error = byId("sale-form-error");
    this.answer = byId("sale-preview-answer");
    for (const part of ["targets", "excludes"]) {
      byId(`sale-${part}`).querySelector(".fields").append(...Object.entries(LISTS).map(([name, label]) => list(part, name, label)));
    }
    byId("sale-new").addEventListener("click", () => this.#toggle(this.form.hidden));
    byId("sale-close").addEventListener("click", () => this.#toggle(false));
    byId("sale-preview").addEventListener("click", () => this.#carryOut(() => this.#preview()));
    byId("sale-draft").addEventListener("click", () => this.#carryOut(() => this.#create(true)));
    this.fields.all.addEventListener("change", () => this.#showTargets());
    this.form.addEventListener("input", () => setHidden(this.answer, true)); // it was of something else
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#carryOut(() => this.#create(false));
    });
  }

  showStores(names) {
    const { store } = this.fields;
    const known = [...store.options].map((option) => option.value);
    if (known.join() !== names.join()) {
      const chosen = store.value;
      store.replaceChildren(...names.map((name) => element("option", { value: name }, name)));
      if (names.includes(chosen)) store.value = chosen;
    }
    setText(byId("sale-zone"), `Times are in ${zoneName()}. Without a start it starts at once; without an end it runs until a person ends it.`);
  }

  #toggle(open) {
    setHidden(this.form, !open);
    setAttribute(byId("sale-new"), "aria-expanded", String(open));
    (open ? this.fields.name : byId("sale-new")).focus();
  }

  #showTargets() {
    for (const field of byId("sale-targets").querySelectorAll("[data-list]")) field.disabled = this.fields.all.checked;
  }

  /** One thing at a time, and only with a form that the browser finds complete. */
  async #carryOut(work) {
    if (this.isBusy || !this.form.reportValidity()) return;
    this.isBusy = true;
    const buttons = ["sale-preview", "sale-create", "sale-draft"].map(byId);
    for (const one of buttons) one.disabled = true;
    await this.attempt(work, this.error);
    for (const one of buttons) one.disabled = false;
    this.isBusy = false;
  }

  #definition() {
    const { fields } = this;
    const made = { name: fields.name.value.trim(), store: fields.store.value, discount_from: fields.discount_from.value, newcomers: fields.newcomers.value };
    made[fields.unit.value] = Number(fields.discount.value);
    for (const name of AMOUNTS) if (fields[name].value !== "") made[name] = Number(fields[name].value);
    for (const name of ["starts", "ends"]) if (fields[name].value) made[name] = fields[name].value; // the shop's time: without an offset
    made.targets = fields.all.checked ? { all: true } : this.#selection("targets");
    made.excludes = this.#selection("excludes");
    return made;
  }

  #selection(part) {
    const chosen = {};
    for (const name of Object.keys(LISTS)) {
      const entries = split(this.fields[`${part}.${name}`].value);
      if (entries.length) chosen[name] = name === "products" ? entries.map(toId) : entries;
    }
    return chosen;
  }

  async #preview() {
    const preview = await post("/api/sales/preview", this.#definition());
    this.answer.replaceChildren(...outcome(preview));
    setHidden(this.answer, false);
  }

  async #create(isDraft) {
    const definition = this.#definition();
    if (!isDraft && !definition.starts && !confirm(`Create "${definition.name}" of ${definition.store}? It starts at once.`)) return;
    const sale = await post("/api/sales", { ...definition, draft: isDraft });
    this.form.reset();
    this.#showTargets();
    setHidden(this.answer, true);
    this.#toggle(false);
    await this.onCreated(sale);
  }
}

function list(part, name, label) {
  const field = element(name === "skus" ? "textarea" : "input", {
    name: `${part}.${name}`,
    "data-list": name,
    placeholder: part === "targets" ? EXAMPLES[name] : null,
    autocomplete: "off",
    rows: name === "skus" ? 1 : null,
  });
  return element("label", {}, `${label} `, field);
}

/** Entries between commas or lines; quotes keep commas: `a, "b, c"` → ["a", "b, c"]. */
function split(text) {
  const found = text.matchAll(/\s*(?:"([^"]*)"(?=\s*(?:[,\n]|$))|([^,\n]+))/g);
  return [...new Set([...found].map(([, quoted, plain]) => (quoted ?? plain).trim()).filter(Boolean))];
}

function toId(text) {
  const id = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(id)) throw new Error(`"${text}" is not a product id: enter the number at the end of the product's address in Shopify.`);
  return id;
}

/** What a campaign would do. */
function outcome({ totals, skipped, conflicts, unmatched, items }) {
  const unknown = strangers(unmatched);
  if (totals.variants === 0) return [element("p", { class: "bad" }, "This matches no variants."), ...unknown];
  const parts = [
    element(
      "p",
      { class: "strong" },
      `${number(totals.on_sale)} of ${number(totals.variants)} variants would be on sale`,
      totals.on_sale ? `: ${amount(totals.old_total)} → ${amount(totals.new_total)}` : "",
      totals.on_sale && totals.average_discount_percent !== null ? `, ${Number(totals.average_discount_percent).toFixed(1)}\u00a0% less` : "",
    ),
  ];
  const told = (title, tone, entries) => {
    if (entries.length === 0) return;
    const lines = entries.slice(0, REASONS).map(([what, count]) => `${number(count)}: ${what}`);
    const rest = entries.slice(REASONS).reduce((sum, [, count]) => sum + count, 0);
    if (rest) lines.push(`${number(rest)} for other reasons`);
    parts.push(element("p", { class: tone }, title), element("ul", {}, ...lines.map((line) => element("li", {}, line))));
  };
  told("Held by other sales at an overlapping time:", "bad", Object.entries(conflicts));
  told("Skipped:", "quiet", alike(skipped));
  parts.push(...unknown);
  const onSale = items.filter((item) => item.new_price !== null && !item.conflict);
  const listed = onSale.length ? onSale : items;
  const title = listed.length > SHOWN ? `The first ${SHOWN} of ${number(listed.length)}` : "Variants";
  parts.push(element("h3", {}, title), element("div", { class: "scroll", tabindex: "0" }, table(listed.slice(0, SHOWN))));
  return parts;
}

/** What is named but not in the shop: {targets: {skus: ["AO-1"]}}. */
function strangers(unmatched) {
  const lines = Object.entries(unmatched).flatMap(([part, kinds]) =>
    Object.entries(kinds).map(([kind, names]) => {
      const rest = names.length > NAMED ? ` and ${number(names.length - NAMED)} more` : "";
      return `${part === "excludes" ? "Excluded " : ""}${LISTS[kind]}: ${names.slice(0, NAMED).join(", ")}${rest}`;
    }),
  );
  if (lines.length === 0) return [];
  return [element("p", { class: "bad" }, "Nothing in the shop matches:"), element("ul", {}, ...lines.map((line) => element("li", {}, line)))];
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
  return [...groups.values()].map(({ reason, kinds, count }) => [kinds > 1 ? `${reason}, and the like` : reason, count]);
}

function table(items) {
  const row = (item) =>
    element(
      "tr",
      {},
      element("td", { class: "variant" }, element("span", { class: "strong block" }, item.sku ?? String(item.variant_id)), element("span", { class: "quiet block" }, item.title ?? "")),
      element("td", {}, ...prices(item.price, item.compare_at_price)),
      element("td", {}, ...(item.new_price === null ? ["–"] : prices(item.new_price, item.new_compare_at_price))),
      element("td", { class: item.conflict ? "note bad" : "note" }, remark(item)),
    );
  const heads = ["Variant", "Now", "During the sale", ""].map((name) => element("th", { scope: "col" }, name));
  return element("table", { class: "plain-table" }, element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...items.map(row)));
}

function remark(item) {
  if (item.conflict) return `held by ${item.conflict}`;
  return item.skipped ?? (item.is_held ? "on sale in another campaign now; its price is restored first" : "");
}
