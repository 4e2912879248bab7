// One campaign: what a person has to decide, what became of its variants, its facts and times.

import { act } from "../actions.js";
import { download, getJson } from "../api.js";
import { button, element, setAttribute, setHidden, setText } from "../dom.js";
import { link } from "../router.js";
import { Decisions, LISTED } from "../sales/decisions.js";
import { meant } from "../sales/row.js";
import { SaleSteering } from "../sales/steering.js";
import { counted, discount, LATE, lateEnd, lateness, lateStart, progress, stateName, stateTone } from "../sales/words.js";
import { moment, t, time, tn } from "../words.js";

const SALE_JOBS = new Set(["APPLY_SALE", "REVERT_SALE"]);
const ACTIONS = 50;
const SAME_MOMENT = 1_000; // milliseconds: it is noted in the transaction of what it brought about
const SOON = 1_500; // milliseconds after news

export default {
  title: () => t("Sale"),

  async open(root, { match, query, signal }) {
    const view = new SaleView(root, decodeURIComponent(match[1]), query.get("store"), signal);
    await view.load();
    return view;
  },
};

class SaleView {
  constructor(root, reference, store, signal) {
    this.signal = signal;
    this.address = `/api/sales/${encodeURIComponent(reference)}${store ? `?${new URLSearchParams({ store })}` : ""}`;
    const again = () => this.load();
    this.steering = new SaleSteering(again);
    this.title = element("h1");
    this.state = element("span");
    this.notice = element("p");
    this.progress = element("p");
    this.lists = Object.keys(LISTED).map((state) => new Decisions(state, again, signal));
    this.facts = element("dl");
    this.events = element("ol", { class: "sale-events" });
    this.files = element("div", { class: "actions" });
    root.append(
      element("p", {}, link("/sales", t("All sales"))),
      element("div", { class: "head" }, this.title, this.steering.node),
      element("div", { class: "card" }, this.state, this.progress, this.notice),
      ...this.lists.map((list) => list.node),
      element("h2", {}, t("The sale")),
      element("div", { class: "card" }, this.facts),
      element("h2", {}, t("What happened")),
      element("div", { class: "card" }, this.events),
      element("h2", {}, t("Files")),
      this.files,
    );
  }

  /** Asks for the campaign by its id once that is known: its name may come to mean a later one. */
  async load() {
    const sale = await getJson(this.address, { signal: this.signal });
    this.address = `/api/sales/${sale.id}`;
    this.#show(sale);
    await Promise.all([this.#showEvents(sale), ...this.lists.map((list) => list.show(sale))]);
  }

  onJob(job) {
    if (SALE_JOBS.has(job.type) && job.store === this.sale.store) this.#refreshSoon();
  }

  onStatus() {
    this.#refreshSoon();
  }

  close() {
    clearTimeout(this.soon);
  }

  #show(sale) {
    this.sale = sale;
    setText(this.title, sale.name);
    this.steering.show(sale, "");
    setHidden(this.steering.decide, true); // it is decided here
    setText(this.state, stateName(sale.state));
    setAttribute(this.state, "class", `chip tone-${stateTone(sale.state)}`);
    const { text, rest } = progress(sale);
    setText(this.progress, [text, rest, lateStart(sale), lateEnd(sale)].filter(Boolean).join(" · "));
    setText(this.notice, sale.notice ?? "");
    setAttribute(this.notice, "class", `tone-${stateTone(sale.state) === "off" ? "warn" : stateTone(sale.state)}`);
    setHidden(this.notice, !sale.notice);
    this.facts.replaceChildren(...facts(sale));
    if (!this.files.hasChildNodes()) this.files.append(...this.#downloads(sale));
  }

  /** What became of it and what people did to it, in the order of time. An earlier sale may have had its name. */
  async #showEvents(sale) {
    const asked = new URLSearchParams({ store: sale.store, subject_kind: "sale", subject: sale.name, limit: ACTIONS });
    const { actions } = await getJson(`/api/actions?${asked}`, { signal: this.signal });
    const ofThis = actions.filter((action) => Date.parse(action.at) >= Date.parse(sale.events[0].at) - SAME_MOMENT);
    const told = [...sale.events.map((each) => [each.at, event(each)]), ...ofThis.map((each) => [each.at, deed(each)])];
    told.sort(([one], [other]) => Date.parse(one) - Date.parse(other));
    this.events.replaceChildren(...told.map(([, node]) => node));
  }

  #downloads({ id, name }) {
    const file = (label, what, format) =>
      button(label, (pressed) => act(pressed, () => download(`/api/sales/${id}/${what}?format=${format}`, `${name}-${what}.${format}`)));
    return [file(t("Report as CSV"), "report", "csv"), file(t("Report as JSON"), "report", "json"), file(t("Preview as CSV"), "preview", "csv")];
  }

  #refreshSoon() {
    this.soon ??= setTimeout(async () => {
      this.soon = null;
      await this.load().catch(() => {}); // the frame tells of a daemon that is away
    }, SOON);
  }
}

function facts(sale) {
  const { times, late, definition } = sale;
  const at = (iso, seconds) => {
    if (!iso) return "";
    const said = lateness(seconds);
    return element("span", {}, moment(iso), said ? [", ", element("span", { class: seconds >= LATE ? "tone-bad" : "quiet" }, said)] : null);
  };
  const from = definition.discount_from === "price" ? "" : t("taken off the compare-at price where there is one");
  const drifting = sale.drifting
    ? tn("{n} variant has a different price than the sale’s, as far as is known", "{n} variants have a different price than the sale’s, as far as is known", { n: sale.drifting })
    : "";
  const rows = [
    [t("Store"), sale.store],
    [t("Discount"), [discount(definition), from].filter(Boolean).join(", ")],
    [t("On sale"), meant(definition)],
    [t("New variants"), definition.newcomers === "ignore" ? t("are left out") : t("join while it runs")],
    [t("Planned start"), at(sale.starts_at)],
    [t("First on sale"), at(times.first_applied, late.first_on_sale_seconds)],
    [t("Last on sale"), at(times.last_applied, late.last_on_sale_seconds)],
    [t("Planned end"), at(sale.ends_at)],
    [t("First restored"), at(times.first_reverted, late.first_restored_seconds)],
    [t("Last restored"), at(times.last_reverted, late.last_restored_seconds)],
    [t("Seen in Shopify"), at(times.last_verified)],
    [t("Variants"), counted(sale.counts)],
    [t("Not as they should be"), drifting && element("span", { class: "tone-ask" }, drifting)],
    [t("Prices read"), at(sale.prepared_at)],
    [t("Id"), sale.id],
  ];
  return rows.filter(([, value]) => value !== "").flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]);
}

const deed = (told) => element("li", {}, element("time", { datetime: told.at, title: moment(told.at) }, time(told.at)), ` ${told.text}`);

const event = (told) =>
  element(
    "li",
    {},
    element("time", { datetime: told.at, title: moment(told.at) }, time(told.at)),
    element("span", { class: `tone-${stateTone(told.state)}` }, stateName(told.state)),
    ` ${told.detail ?? ""}`,
  );
