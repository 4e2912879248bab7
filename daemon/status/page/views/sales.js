// All sale campaigns, and the form of a new one.

import { explanation, getJson } from "../api.js";
import { button, element, setHidden, setText } from "../dom.js";
import { now } from "../now.js";
import { SaleForm } from "../sales/form.js";
import { columns, SaleRow } from "../sales/row.js";
import { hasEnded, isOnSale, isWaiting, LATE, lateStart } from "../sales/words.js";
import { status } from "../status.js";
import { t, tn } from "../words.js";

const SALE_JOBS = new Set(["PREPARE_SALE", "APPLY_SALE", "REVERT_SALE"]);
const SOON = 1_500; // milliseconds after news: a running job tells several times a second
const PAUSE = 3_000; // between two looks because of a start or end that has passed
const REFRESH = 15_000; // between two looks in any case: jobs tell of most changes at once
const RECENT = 30; // campaigns that have ended
const FIRST_ENDED = 5; // of them, shown before somebody asks for more
// What needs a person comes first, what is over last.
const ORDER = ["NEEDS_ATTENTION", "REVERTING", "APPLYING", "ACTIVE", "SCHEDULED", "DRAFT"];

export default {
  title: () => t("Sales"),

  async open(root, { signal }) {
    const view = new SalesView(root, signal);
    await view.load();
    return view;
  },
};

class SalesView {
  constructor(root, signal) {
    this.signal = signal;
    this.rows = new Map(); // by id
    this.isWhole = false;
    this.nextLook = 0;
    this.form = new SaleForm((sale) => this.#created(sale));
    this.form.showStores(status()?.stores ?? []);
    this.summary = element("span", { class: "quiet" });
    this.notice = element("p", { class: "notice tone-bad", role: "alert", hidden: true });
    this.empty = element("p", { class: "empty", hidden: true }, t("No sales. Create one here, with `dongbo sale create`, or as [[sales]] in the configuration."));
    this.body = element("tbody", { role: "rowgroup" });
    const heads = columns().map(({ label }) => element("th", { role: "columnheader", scope: "col" }, label || element("span", { class: "hidden-text" }, t("Actions"))));
    this.table = element(
      "table",
      { role: "table", class: "table sales", hidden: true },
      element("caption", { class: "hidden-text" }, t("Sales")),
      element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, heads)),
      this.body,
    );
    this.more = button("", () => this.#unfold(), { class: "more", hidden: true });
    root.append(element("div", { class: "head" }, element("h1", {}, t("Sales")), this.summary, this.form.toggle), this.form.node, this.notice, this.empty, this.table, this.more);
    this.timer = setInterval(() => document.hidden || this.#refresh(), REFRESH);
  }

  async load() {
    const [open, recent] = await Promise.all([
      getJson("/api/sales?open=true&limit=200", { signal: this.signal }),
      getJson(`/api/sales?limit=${RECENT}`, { signal: this.signal }),
    ]);
    setHidden(this.notice, true);
    this.#show([...new Map([...recent.sales, ...open.sales].map((sale) => [sale.id, sale])).values()]);
  }

  onJob(job) {
    if (SALE_JOBS.has(job.type)) this.#refreshSoon();
  }

  onStatus({ stores }) {
    this.form.showStores(stores);
  }

  onState(state) {
    if (state === "live") this.#refreshSoon();
  }

  onTick() {
    for (const row of this.rows.values()) row.tick();
    if (now() > this.nextLook && [...this.rows.values()].some((row) => row.isDue())) {
      this.nextLook = now() + PAUSE;
      this.#refresh();
    }
  }

  close() {
    clearTimeout(this.soon);
    clearInterval(this.timer);
    this.form.close();
  }

  #show(sales) {
    sales.sort(compare);
    const names = new Map();
    for (const sale of sales) names.set(sale.name, (names.get(sale.name) ?? 0) + 1);
    const nodes = sales.map((sale) => {
      if (!this.rows.has(sale.id)) this.rows.set(sale.id, new SaleRow(sale, () => this.load()));
      const row = this.rows.get(sale.id);
      row.show(sale, `/sales/${encodeURIComponent(names.get(sale.name) === 1 ? sale.name : sale.id)}`);
      return row.node;
    });
    if (nodes.length !== this.body.children.length || nodes.some((node, at) => this.body.children[at] !== node)) this.body.replaceChildren(...nodes);
    const present = new Set(sales.map((sale) => sale.id));
    for (const id of [...this.rows.keys()]) if (!present.has(id)) this.rows.delete(id);
    setHidden(this.table, sales.length === 0);
    setHidden(this.empty, sales.length > 0);
    this.#fold(sales);
    setText(this.summary, summary(sales));
  }

  /** Hides campaigns that were over long ago. */
  #fold(sales) {
    const ended = sales.filter(hasEnded).map((sale) => this.rows.get(sale.id));
    const folded = this.isWhole ? [] : ended.slice(FIRST_ENDED);
    for (const row of ended) setHidden(row.node, folded.includes(row));
    setHidden(this.more, folded.length === 0);
    setText(this.more, t("Show {n} more", { n: folded.length }));
  }

  #unfold() {
    this.isWhole = true;
    this.#fold([...this.rows.values()].map((row) => row.sale));
  }

  /** Asks for the campaigns; never twice at once. */
  #refresh() {
    this.loading ??= this.load()
      .catch((error) => this.#complain(error))
      .finally(() => (this.loading = null));
    return this.loading;
  }

  #refreshSoon() {
    this.soon ??= setTimeout(() => {
      this.soon = null;
      this.#refresh();
    }, SOON);
  }

  #complain(error) {
    if (this.signal.aborted || error.name === "TypeError") return; // the frame tells of an absent daemon
    setText(this.notice, `${t("The sales can’t be shown.")} ${explanation(error)}`);
    setHidden(this.notice, false);
  }

  async #created(sale) {
    await this.load();
    this.rows.get(sale.id)?.name.focus();
  }
}

/** What is going on, in a line. */
function summary(sales) {
  const count = (holds) => sales.filter(holds).length;
  const asking = count((sale) => sale.state === "NEEDS_ATTENTION");
  const late = count((sale) => isWaiting(sale) && lateStart(sale) !== "") + count((sale) => sale.overdue.end_seconds >= LATE);
  const running = count(isOnSale);
  const next = count((sale) => sale.state === "SCHEDULED");
  const parts = [];
  if (asking) parts.push(tn("{n} needs a decision", "{n} need a decision", { n: asking }));
  if (late) parts.push(tn("{n} late", "{n} late", { n: late }));
  if (running) parts.push(tn("{n} running", "{n} running", { n: running }));
  if (next) parts.push(tn("{n} to come", "{n} to come", { n: next }));
  return parts.join(" · ");
}

/** By state; what is coming up by its start, what is over by its end. */
function compare(one, other) {
  const rank = (sale) => (hasEnded(sale) ? ORDER.length : ORDER.indexOf(sale.state));
  if (rank(one) !== rank(other)) return rank(one) - rank(other);
  const key = (sale) => Date.parse((hasEnded(sale) ? sale.closed_at : sale.starts_at) ?? sale.created_at);
  return hasEnded(one) ? key(other) - key(one) : key(one) - key(other);
}
