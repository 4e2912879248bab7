// What a campaign's row shows when it is opened: facts, times, the outcome of variants, and what a person decides.

import { download, getJson, post } from "./api.js";
import { button, element, setAttribute, setHidden } from "./dom.js";
import { amount, moment, number } from "./format.js";
import { counted, discount, LATE, lateness, selection, stateName } from "./sale-words.js";

const PAGE = 20; // variants fetched at once
const LISTED = {
  DRIFTED: "Changed by somebody else",
  STUCK: "Stuck: Shopify refuses the old price",
  REFUSED: "Shopify did not accept the sale price",
};

export class SaleDetails {
  /** `attempt(work, place)` carries out an action and shows its error at `place`; `refresh()` fetches the campaigns again. */
  constructor(node, attempt, refresh) {
    this.attempt = attempt;
    this.refresh = refresh;
    this.error = element("p", { class: "bad", role: "alert", hidden: true });
    this.facts = element("div");
    this.files = element("p", { class: "row buttons" });
    this.lists = Object.fromEntries(Object.keys(LISTED).map((state) => [state, element("div", { class: "failures" })]));
    this.shown = {}; // which version of each list
    this.node = node;
    setAttribute(node, "tabindex", "-1"); // takes the focus of a button that a decision has done away with
    node.append(this.error, ...Object.values(this.lists), this.facts, this.files);
  }

  /** Shows the campaign; what has to be fetched only if it may have changed. */
  show(sale) {
    const seen = JSON.stringify([sale.state, sale.changed_at, sale.counts]);
    if (seen === this.seen) return;
    this.seen = seen;
    this.sale = sale;
    this.path = `/api/sales/${encodeURIComponent(sale.id)}`;
    if (!this.files.hasChildNodes()) this.files.append(...this.#downloads());
    this.#load(sale);
  }

  async #load(sale) {
    const isLoaded = await this.attempt(async () => {
      const whole = await getJson(this.path);
      if (sale !== this.sale) return; // a later one is on its way
      this.facts.replaceChildren(facts(whole), element("h3", {}, "What happened"), events(whole.events));
    }, this.error);
    const areListed = isLoaded && (await Promise.all(Object.keys(LISTED).map((state) => this.#list(sale, state)))).every(Boolean);
    if (!areListed && sale === this.sale) this.seen = null; // the next refresh tries again
  }

  #downloads() {
    const { path, sale } = this;
    const file = (label, what, format) =>
      button(label, () => this.attempt(() => download(`${path}/${what}?format=${format}`, `${sale.name}-${what}.${format}`), this.error));
    return [file("Report as CSV", "report", "csv"), file("Report as JSON", "report", "json"), file("Preview as CSV", "preview", "csv")];
  }

  /** Shows the variants in a state; whether that worked. */
  async #list(sale, state) {
    const count = sale.counts?.[state] ?? 0;
    const version = count && `${sale.state} ${sale.changed_at} ${count}`;
    if (this.shown[state] === version) return true;
    const place = this.lists[state];
    if (count === 0) {
      this.shown[state] = version;
      place.replaceChildren();
      return true;
    }
    const decides = state === "DRIFTED" && sale.state === "NEEDS_ATTENTION";
    const columns = ["Variant", ...(state === "DRIFTED" ? ["Has now"] : []), "Price to restore", "Sale price", "Note", ...(decides ? ["Decide"] : [])];
    const rows = element("tbody");
    const heads = columns.map((name) => element("th", { scope: "col" }, name));
    const table = element("table", { class: "plain-table" }, element("thead", {}, element("tr", {}, ...heads)), rows);
    const add = () => this.#add(rows, more, state, decides);
    const more = button("Show more", add, { class: "more" });
    if (!(await add())) return false;
    if (sale !== this.sale) return true; // a later one is on its way
    this.shown[state] = version;
    place.replaceChildren(
      element("h3", {}, `${LISTED[state]}: ${number(count)}`),
      ...this.#decisions(sale, state, count),
      element("div", { class: "scroll", tabindex: "0" }, table),
      more,
    );
    return true;
  }

  #add(rows, more, state, decides) {
    return this.attempt(async () => {
      const query = new URLSearchParams({ state, limit: PAGE, ...(more.dataset.after ? { after: more.dataset.after } : {}) });
      const { items, next } = await getJson(`${this.path}/items?${query}`);
      rows.append(...items.map((item) => this.#row(item, state, decides)));
      more.dataset.after = next ?? "";
      setHidden(more, !next);
    }, this.error);
  }

  #row(item, state, decides) {
    const name = item.sku ?? String(item.variant_id);
    const cells = [element("td", { class: "variant" }, element("span", { class: "strong block" }, name), element("span", { class: "quiet block" }, item.title ?? ""))];
    if (state === "DRIFTED") cells.push(element("td", {}, ...prices(item.found_price, item.found_compare_at_price)));
    cells.push(
      element("td", {}, ...prices(item.base_price, item.base_compare_at_price)),
      element("td", {}, ...prices(item.sale_price, item.sale_compare_at_price)),
      element("td", { class: "note" }, item.note ?? ""),
    );
    if (decides) {
      const [found, base] = [amount(item.found_price), amount(item.base_price)];
      cells.push(
        element(
          "td",
          { class: "decide" },
          button("Keep", () => this.#decide("keep", [item.variant_id]), { "aria-label": `Keep ${found} of ${name}` }),
          button("Restore", () => this.#decide("restore", [item.variant_id], `Set ${name} from ${found} back to ${base}?`), {
            "aria-label": `Restore ${base} of ${name}`,
          }),
        ),
      );
    }
    return element("tr", {}, ...cells);
  }

  /** What a person can do about all of them. */
  #decisions(sale, state, count) {
    if (state === "REFUSED") return [];
    if (sale.state !== "NEEDS_ATTENTION") {
      const when = sale.state === "REVERTING" ? "once the rest has been restored" : "once the sale has ended";
      return [element("p", { class: "quiet" }, `You can decide ${when}.`)];
    }
    if (state === "STUCK") return [element("p", { class: "row buttons" }, button("Try again", () => this.#decide(null, null)))];
    const all = count === 1 ? "this price" : `all ${number(count)} prices`;
    return [
      element(
        "p",
        { class: "row buttons" },
        button("Keep all", () => this.#decide("keep", null, `Leave ${all} as somebody else has set them?`)),
        button("Restore all", () => this.#decide("restore", null, `Set ${all} back to what they were before the sale?`)),
      ),
    ];
  }

  #decide(decision, variants, question) {
    if (question && !confirm(question)) return undefined;
    return this.attempt(async () => {
      await post(`${this.path}/resume`, { decision, variants });
      await this.refresh();
      this.node.focus({ preventScroll: true });
    }, this.error);
  }
}

function facts(sale) {
  const list = element("dl");
  const add = (name, ...value) => {
    if (value.some((part) => part !== null && part !== undefined && part !== "")) list.append(element("dt", {}, name), element("dd", {}, ...value));
  };
  const at = (iso, seconds) => {
    if (!iso) return [];
    const said = lateness(seconds);
    return [moment(iso), ...(said ? [", ", element("span", { class: seconds >= LATE ? "bad" : "quiet" }, said)] : [])];
  };
  const { times, late, definition } = sale;
  add("Discount", `${discount(definition)}${definition.discount_from === "price" ? "" : ", taken off the compare-at price where there is one"}`);
  add("On sale", selection(definition.targets));
  add("Except", selection(definition.excludes));
  add("New variants", definition.newcomers === "ignore" ? "are left out" : "join while it runs");
  add("Planned start", sale.starts_at && moment(sale.starts_at));
  add("First on sale", ...at(times.first_applied, late.first_on_sale_seconds));
  add("Last on sale", ...at(times.last_applied, late.last_on_sale_seconds));
  add("Planned end", sale.ends_at && moment(sale.ends_at));
  add("First restored", ...at(times.first_reverted, late.first_restored_seconds));
  add("Last restored", ...at(times.last_reverted, late.last_restored_seconds));
  add("Seen in Shopify", times.last_verified && moment(times.last_verified));
  add("Variants", counted(sale.counts ?? {}));
  if (sale.drifting) add("Not as they should be", element("span", { class: "ask" }, `${number(sale.drifting)} variants have a different price than the sale's, as far as is known`));
  add("Prices read", sale.prepared_at && moment(sale.prepared_at));
  add("Id", sale.id);
  return list;
}

const events = (told) =>
  element(
    "ol",
    { class: "steps events" },
    ...told.map((event) =>
      element(
        "li",
        {},
        element("span", { class: "quiet" }, `${moment(event.at)} `),
        element("span", { class: "status", "data-status": event.state }, stateName(event.state)),
        ` ${event.detail ?? ""}`,
      ),
    ),
  );

/** A price, and the one that is crossed out beside it. */
export function prices(price, compareAt) {
  if (price === null || price === undefined) return ["–"];
  const crossedOut = compareAt === null || compareAt === undefined ? [] : [" ", element("s", { class: "quiet" }, amount(compareAt))];
  return [amount(price), ...crossedOut];
}
