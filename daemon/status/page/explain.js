// "Why does Shopify say that?": asks for an SKU and shows the verdicts.

import { Latest } from "./api.js";
import { byId, element, setHidden } from "./dom.js";

export class Explainer {
  /** `act(work)` carries out what a person asked for, and shows its error. */
  constructor(act) {
    this.stores = byId("why-store");
    this.answer = byId("why-answer");
    this.answers = new Latest();
    byId("why").addEventListener("submit", (event) => {
      event.preventDefault();
      act(() => this.#ask(byId("why-text").value.trim()));
    });
    byId("why-text").addEventListener("input", () => {
      if (byId("why-text").value !== "") return;
      this.answers.forget();
      setHidden(this.answer, true);
    });
  }

  /** The stores to choose from; with one, there is nothing to choose. */
  show(names) {
    const known = [...this.stores.options].map((option) => option.value);
    if (known.join() !== names.join()) {
      const chosen = this.stores.value;
      this.stores.replaceChildren(...names.map((name) => element("option", { value: name }, name)));
      if (names.includes(chosen)) this.stores.value = chosen;
    }
    setHidden(this.stores, names.length < 2);
    setHidden(byId("why"), names.length === 0);
  }

  async #ask(text) {
    if (text === "") return;
    const query = new URLSearchParams({ store: this.stores.value, sku: text });
    const explanation = await this.answers.get(`/api/explain?${query}`);
    if (explanation === null) return;
    this.answer.replaceChildren(
      ...(explanation.verdict ? [element("p", {}, explanation.verdict)] : []),
      ...explanation.variants.map(variant),
    );
    setHidden(this.answer, false);
  }
}

function variant(found) {
  const names = [found.sku ? `SKU ${found.sku}` : "no SKU", `variant ${found.variant_id}`];
  if (found.product) names.push(`product ${found.product.id} of Nhanh.vn${found.product.code ? ` (${found.product.code})` : ""}`);
  return element(
    "article",
    {},
    element("h3", {}, found.title || "A variant"),
    element("p", { class: "quiet" }, names.join(" · ")),
    element("p", {}, capital(`${found.mapping.text}.`)),
    element("ul", {}, ...found.values.map((value) => element("li", {}, value.verdict))),
  );
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
