// The form of a new sale: what a person fills in becomes a definition, previewed or created.

import { act } from "../actions.js";
import { post } from "../api.js";
import { button, element, setAttribute, setHidden, setText, steeringButton } from "../dom.js";
import { t, zoneName } from "../words.js";
import { Picker } from "./picker.js";
import { outcome } from "./preview.js";
import { LISTS } from "./words.js";

const AMOUNTS = ["round_to", "ending", "floor"];
const KINDS = { collections: "collections", product_types: "types", vendors: "vendors", tags: "tags", products: "products" }; // of /api/choices
const PARTS = ["targets", "excludes"];

export class SaleForm {
  /** `onCreated(sale)` is called for a new one. */
  constructor(onCreated) {
    this.onCreated = onCreated;
    this.toggle = button(t("New sale"), () => this.#toggle(this.node.hidden), { "aria-expanded": "false", "aria-controls": "sale-form" });
    this.zone = element("p", { class: "hint", id: "sale-zone" });
    this.lists = Object.fromEntries(PARTS.map((part) => [part, this.#listsOf()]));
    this.all = element("input", { type: "checkbox", name: "all" });
    this.all.addEventListener("change", () => this.#showTargets());
    this.answer = element("div", { class: "sale-preview", "aria-live": "polite", hidden: true });
    this.node = element(
      "form",
      { id: "sale-form", class: "card sale-form", "aria-label": t("New sale"), hidden: true },
      element("div", { class: "fields" }, this.#facts()),
      this.zone,
      element(
        "fieldset",
        {},
        element("legend", {}, t("Variants on sale")),
        element("label", { class: "check" }, this.all, t("All variants of the shop")),
        element("div", { class: "fields" }, nodesOf(this.lists.targets)),
      ),
      element("fieldset", {}, element("legend", {}, t("Except")), element("div", { class: "fields" }, nodesOf(this.lists.excludes))),
      element(
        "div",
        { class: "actions" },
        button(t("Preview"), (pressed) => this.#carryOut(pressed, () => this.#preview())),
        (this.create = steeringButton(t("Create"), (pressed) => this.#carryOut(pressed, () => this.#create(false)), { class: "main" })),
        steeringButton(t("Create draft"), (pressed) => this.#carryOut(pressed, () => this.#create(true))),
        button(t("Close"), () => this.#toggle(false)),
      ),
      this.answer,
    );
    this.fields = this.node.elements;
    this.node.addEventListener("input", () => this.#forgetPreview());
    this.node.addEventListener("submit", (event) => {
      event.preventDefault();
      this.create.click();
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
    setText(this.zone, t("Times are in {zone}. Without a start it starts at once; without an end it runs until a person ends it.", { zone: zoneName() }));
  }

  close() {
    for (const one of this.#pickers()) one.close();
  }

  #facts() {
    const entry = (label, attributes) => element("label", {}, `${label} `, element("input", attributes));
    const choice = (label, name, options) => element("label", {}, `${label} `, element("select", { name }, options.map(([value, text]) => element("option", { value }, text))));
    const amount = { type: "number", min: 0, step: "any" };
    return [
      entry(t("Name"), { name: "name", required: true, maxlength: 63, pattern: "[a-z0-9][a-z0-9_\\-]*", title: t("Lower-case letters, digits, - and _"), placeholder: "tet-2027", autocomplete: "off" }),
      choice(t("Store"), "store", []),
      entry(t("Discount"), { ...amount, name: "discount", required: true }),
      choice(t("Unit of the discount"), "unit", [["percent", "%"], ["amount", t("off the price, in the shop’s currency")]]),
      choice(t("Taken off"), "discount_from", [["compare_at_price", t("the compare-at price, where there is one")], ["price", t("the price")]]),
      entry(t("Round down to"), { ...amount, name: "round_to", placeholder: "1" }),
      entry(t("Prices end with"), { ...amount, name: "ending", placeholder: t("as they come") }),
      entry(t("No price below"), { ...amount, name: "floor", placeholder: t("no floor") }),
      choice(t("New variants"), "newcomers", [["join", t("join while it runs")], ["ignore", t("are left out")]]),
      entry(t("Starts"), { type: "datetime-local", name: "starts", "aria-describedby": "sale-zone" }),
      entry(t("Ends"), { type: "datetime-local", name: "ends", "aria-describedby": "sale-zone" }),
    ];
  }

  #listsOf() {
    const picker = (name) => new Picker({ label: LISTS[name](), kind: KINDS[name], store: () => this.fields.store.value, onChange: () => this.#forgetPreview() });
    return Object.fromEntries(Object.keys(LISTS).map((name) => [name, name === "skus" ? new Lines(LISTS[name]()) : picker(name)]));
  }

  #pickers() {
    return PARTS.flatMap((part) => Object.values(this.lists[part])).filter((one) => one instanceof Picker);
  }

  #toggle(isOpen) {
    setHidden(this.node, !isOpen);
    setAttribute(this.toggle, "aria-expanded", String(isOpen));
    (isOpen ? this.fields.name : this.toggle).focus();
  }

  #showTargets() {
    for (const one of Object.values(this.lists.targets)) one.disable(this.all.checked);
  }

  /** The preview was of something else. */
  #forgetPreview() {
    if (this.answer) setHidden(this.answer, true);
  }

  /** Only with a form that the browser finds complete. */
  #carryOut(pressed, work) {
    return this.node.reportValidity() ? act(pressed, work) : undefined;
  }

  #definition() {
    const { fields } = this;
    const made = { name: fields.name.value.trim(), store: fields.store.value, discount_from: fields.discount_from.value, newcomers: fields.newcomers.value };
    made[fields.unit.value] = Number(fields.discount.value);
    for (const name of AMOUNTS) if (fields[name].value !== "") made[name] = Number(fields[name].value);
    for (const name of ["starts", "ends"]) if (fields[name].value) made[name] = fields[name].value; // the shop's time: without an offset
    made.targets = this.all.checked ? { all: true } : this.#selection("targets");
    made.excludes = this.#selection("excludes");
    return made;
  }

  #selection(part) {
    const entries = Object.entries(this.lists[part]).map(([name, list]) => [name, list.values()]);
    return Object.fromEntries(entries.filter(([, values]) => values.length > 0).map(([name, values]) => [name, name === "products" ? values.map(toId) : values]));
  }

  async #preview() {
    const preview = await post("/api/sales/preview", this.#definition());
    this.answer.replaceChildren(...outcome(preview));
    setHidden(this.answer, false);
    return null;
  }

  async #create(isDraft) {
    const definition = this.#definition();
    const question = t("Create “{sale}” of {store}? It starts at once.", { sale: definition.name, store: definition.store });
    if (!isDraft && !definition.starts && !confirm(question)) return null;
    const sale = await post("/api/sales", { ...definition, draft: isDraft });
    this.node.reset();
    for (const part of PARTS) for (const one of Object.values(this.lists[part])) one.clear();
    this.#showTargets();
    this.#toggle(false);
    await this.onCreated(sale);
    return null;
  }
}

/** A list of SKUs, one a line or with commas between them. */
class Lines {
  constructor(label) {
    this.input = element("textarea", { rows: 1, autocomplete: "off", placeholder: t("separated by commas or lines") });
    this.node = element("label", {}, `${label} `, this.input);
  }

  values() {
    return [...new Set(this.input.value.split(/[,\n]/).map((entry) => entry.trim()).filter(Boolean))];
  }

  clear() {
    this.input.value = "";
  }

  disable(isOff) {
    this.input.disabled = isOff;
  }
}

const nodesOf = (lists) => Object.values(lists).map((list) => list.node);

function toId(text) {
  const id = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(id)) {
    throw new Error(t("“{text}” is not a product id: choose a product, or enter the number at the end of its address in Shopify.", { text }));
  }
  return id;
}
