// Variants that are not as the sale left them, and what a person decides about them.

import { act } from "../actions.js";
import { getJson, post } from "../api.js";
import { button, element, setHidden, setText, steeringButton } from "../dom.js";
import { table } from "../table.js";
import { money, number, t, tn } from "../words.js";
import { prices, variant } from "./prices.js";

const PAGE = 20; // variants fetched at once
export const LISTED = {
  DRIFTED: () => t("Changed by somebody else"),
  STUCK: () => t("Stuck: Shopify refuses the old price"),
  REFUSED: () => t("Shopify did not accept the sale price"),
};

export class Decisions {
  /** The variants of a campaign in a state; `onDecided()` is called after a decision. */
  constructor(state, onDecided, signal) {
    this.state = state;
    this.onDecided = onDecided;
    this.signal = signal;
    this.items = [];
    this.title = element("h2", { tabindex: "-1" }); // takes the focus of a button that a decision has done away with
    this.hint = element("p", { class: "quiet" });
    this.all = element("div", { class: "actions" });
    this.place = element("div");
    this.more = button(t("Show more"), (pressed) => act(pressed, () => this.#fetch()), { class: "more", hidden: true });
    this.node = element("section", { class: "sale-decisions", hidden: true }, this.title, this.hint, this.all, this.place, this.more);
  }

  /** Shows them as they are now; fetched only where they may have changed. */
  async show(sale) {
    const count = sale.counts[this.state] ?? 0;
    const version = JSON.stringify([sale.state, sale.changed_at, count]);
    if (version === this.version) return;
    this.sale = sale;
    setHidden(this.node, count === 0);
    if (count > 0) {
      this.items = [];
      this.next = null;
      setText(this.title, `${LISTED[this.state]()}: ${number(count)}`);
      this.#offer(count);
      await this.#fetch();
    }
    this.version = version;
  }

  get isDecidable() {
    return this.state === "DRIFTED" && this.sale.state === "NEEDS_ATTENTION";
  }

  async #fetch() {
    const asked = new URLSearchParams({ state: this.state, limit: PAGE, ...(this.next ? { after: this.next } : {}) });
    const { items, next } = await getJson(`/api/sales/${this.sale.id}/items?${asked}`, { signal: this.signal });
    this.items.push(...items);
    this.next = next;
    this.place.replaceChildren(table({ caption: LISTED[this.state](), columns: this.#columns(), rows: this.items, key: (item) => item.variant_id }));
    setHidden(this.more, next === null);
    return null;
  }

  #columns() {
    const found = { key: "found", label: t("Has now"), cell: (item) => prices(item.found_price, item.found_compare_at_price) };
    const decide = { key: "decide", label: t("Decide"), class: "whole steering", cell: (item) => this.#buttons(item) };
    return [
      { key: "variant", label: t("Variant"), cell: variant },
      ...(this.state === "DRIFTED" ? [found] : []),
      { key: "base", label: t("Price to restore"), cell: (item) => prices(item.base_price, item.base_compare_at_price) },
      { key: "sale", label: t("Sale price"), cell: (item) => prices(item.sale_price, item.sale_compare_at_price) },
      { key: "note", label: t("Note"), cell: (item) => item.note },
      ...(this.isDecidable ? [decide] : []),
    ];
  }

  #buttons(item) {
    const said = { name: item.sku ?? String(item.variant_id), found: money(item.found_price), base: money(item.base_price) };
    const question = t("Set {name} from {found} back to {base}?", said);
    return element(
      "div",
      { class: "actions" },
      steeringButton(t("Keep"), (pressed) => this.#decide(pressed, "keep", [item.variant_id]), { "aria-label": t("Keep {found} of {name}", said) }),
      steeringButton(t("Restore"), (pressed) => this.#decide(pressed, "restore", [item.variant_id], question), { "aria-label": t("Restore {base} of {name}", said) }),
    );
  }

  /** What a person can do about all of them. */
  #offer(count) {
    const { state } = this.sale;
    const isOpen = state === "NEEDS_ATTENTION";
    const later = state === "REVERTING" ? t("You can decide once the rest has been restored.") : t("You can decide once the sale has ended.");
    setText(this.hint, isOpen || this.state === "REFUSED" ? "" : later);
    setHidden(this.hint, this.hint.textContent === "");
    this.all.replaceChildren(...(isOpen ? this.#forAll(count) : []));
  }

  #forAll(count) {
    if (this.state === "REFUSED") return [];
    if (this.state === "STUCK") return [steeringButton(t("Try again"), (pressed) => this.#decide(pressed, null, null))];
    const keep = tn("Leave this price as somebody else has set it?", "Leave all {n} prices as somebody else has set them?", { n: count });
    const restore = tn("Set this price back to what it was before the sale?", "Set all {n} prices back to what they were before the sale?", { n: count });
    return [
      steeringButton(t("Keep all"), (pressed) => this.#decide(pressed, "keep", null, keep)),
      steeringButton(t("Restore all"), (pressed) => this.#decide(pressed, "restore", null, restore)),
    ];
  }

  #decide(pressed, decision, variants, question) {
    if (question && !confirm(question)) return undefined;
    return act(pressed, async () => {
      await post(`/api/sales/${this.sale.id}/resume`, { decision, variants });
      await this.onDecided();
      if (!document.body.contains(pressed)) this.title.focus({ preventScroll: true });
      return t("Decided.");
    });
  }
}
