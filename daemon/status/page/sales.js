// The table of sale campaigns: one <tbody> a campaign, updated in place.

import { explanation, getJson, post, Unauthorized } from "./api.js";
import { button, byId, cell, element, setAttribute, setHidden, setText } from "./dom.js";
import { moment, now, relative, time } from "./format.js";
import { SaleDetails } from "./sale-details.js";
import { SaleForm } from "./sale-form.js";
import { counted, discount, hasEnded, isOnSale, isWaiting, LATE, lateEnd, lateStart, progress, selection, stateName } from "./sale-words.js";

const SALE_JOBS = new Set(["PREPARE_SALE", "APPLY_SALE", "REVERT_SALE"]);
const SOON = 1_500; // milliseconds after news: a running job tells several times a second
const PAUSE = 3_000; // between two looks because of a start or end that has passed
const RECENT = 30; // campaigns that have ended
const FIRST_ENDED = 5; // of them, shown before somebody asks for more
const COLUMNS = 7;
// What needs a person comes first, what is over last.
const ORDER = ["NEEDS_ATTENTION", "REVERTING", "APPLYING", "ACTIVE", "SCHEDULED", "DRAFT"];

export class SaleTable {
  /** `askForToken(message)` is called where the daemon requires one. */
  constructor(askForToken) {
    this.askForToken = askForToken;
    this.table = byId("sales");
    this.rows = new Map(); // by id
    this.isWhole = false;
    this.isAbsent = false; // a daemon without sales
    this.loading = null;
    this.soon = null;
    this.nextLook = 0;
    this.form = new SaleForm((work, place) => this.attempt(work, place), (sale) => this.#created(sale));
    byId("sales-more").addEventListener("click", () => {
      this.isWhole = true;
      this.#fold();
    });
  }

  /** The stores that a sale may be for. */
  showStores(names) {
    this.form.showStores(names);
  }

  /** A job has changed: those of sales bring news. */
  follow(job) {
    if (SALE_JOBS.has(job.type)) this.refreshSoon();
  }

  refreshSoon() {
    this.soon ??= setTimeout(() => {
      this.soon = null;
      this.refresh();
    }, SOON);
  }

  /** Asks for the campaigns; never twice at once. */
  refresh() {
    this.loading ??= this.#load().finally(() => (this.loading = null));
    return this.loading;
  }

  /** What changes with time alone. */
  tick() {
    for (const row of this.rows.values()) row.tick();
    const isDue = [...this.rows.values()].some((row) => row.isDue());
    if (isDue && now() > this.nextLook) {
      this.nextLook = now() + PAUSE;
      this.refresh();
    }
  }

  /** Carries out what a person asked for; an error is shown at `place`, where they are. Returns whether it worked. */
  async attempt(work, place) {
    try {
      setHidden(place, true);
      await work();
      return true;
    } catch (error) {
      if (error instanceof Unauthorized) {
        this.askForToken(error.message);
      } else {
        setText(place, explanation(error));
        setHidden(place, false);
      }
      return false;
    }
  }

  async #load() {
    if (this.isAbsent) return;
    try {
      const [open, recent] = await Promise.all([
        getJson("/api/sales?open=true&limit=200"),
        getJson(`/api/sales?limit=${RECENT}`),
      ]);
      setHidden(byId("sales-error"), true);
      this.#show([...new Map([...recent.sales, ...open.sales].map((sale) => [sale.id, sale])).values()]);
    } catch (error) {
      if (error instanceof Unauthorized) this.askForToken(error.message);
      else if (error.status === 404) this.#hide();
      else if (error.name !== "TypeError") this.#complain(error); // an absent daemon is told of above
    }
  }

  #hide() {
    this.isAbsent = true;
    setHidden(byId("sales-section"), true);
    setHidden(byId("sales-badge"), true);
  }

  #complain(error) {
    setText(byId("sales-error"), `The sales can't be shown. ${explanation(error)}`);
    setHidden(byId("sales-error"), false);
    setHidden(byId("sales-section"), false);
  }

  #show(sales) {
    sales.sort(compare);
    const present = new Set(sales.map((sale) => sale.id));
    for (const [id, row] of this.rows) {
      if (!present.has(id)) {
        row.body.remove();
        this.rows.delete(id);
      }
    }
    sales.forEach((sale, at) => {
      let row = this.rows.get(sale.id);
      if (!row) this.rows.set(sale.id, (row = new SaleRow(sale, this)));
      if (this.table.tBodies[at] !== row.body) this.table.insertBefore(row.body, this.table.tBodies[at] ?? null);
      row.show(sale);
    });
    setHidden(byId("sales-section"), false);
    setHidden(this.table, sales.length === 0);
    setHidden(byId("sales-empty"), sales.length > 0);
    this.#fold();
    this.#showSummary(sales);
  }

  /** Hides campaigns that were over long ago. */
  #fold() {
    let [ended, hidden] = [0, 0];
    for (const body of this.table.tBodies) {
      const row = this.rows.get(body.dataset.id);
      if (hasEnded(row.sale)) ended += 1;
      const isHidden = !this.isWhole && hasEnded(row.sale) && ended > FIRST_ENDED && !row.isOpen;
      setHidden(body, isHidden);
      if (isHidden) hidden += 1;
    }
    setHidden(byId("sales-more"), hidden === 0);
    setText(byId("sales-more"), `Show ${hidden} more`);
  }

  /** What is going on, beside the title and at the top of the page, which links here. */
  #showSummary(sales) {
    const count = (holds) => sales.filter(holds).length;
    const asking = count((sale) => sale.state === "NEEDS_ATTENTION");
    const late = count((sale) => lateStart(sale) !== "" && isWaiting(sale)) + count((sale) => sale.overdue.end_seconds >= LATE);
    const running = count(isOnSale);
    const next = count((sale) => sale.state === "SCHEDULED");
    const parts = [];
    if (asking) parts.push(`${asking} need${asking === 1 ? "s" : ""} a decision`);
    if (late) parts.push(`${late} late`);
    if (running) parts.push(`${running} running`);
    if (next) parts.push(`${next} to come`);
    setText(byId("sales-summary"), parts.join(" · "));
    setText(byId("sales-badge"), parts.length ? `Sales: ${parts[0]}` : "");
    setAttribute(byId("sales-badge"), "data-tone", late ? "bad" : asking ? "ask" : running ? "good" : "wait");
    setHidden(byId("sales-badge"), parts.length === 0);
  }

  async #created(sale) {
    await this.refresh(); // one that is under way may be older than the campaign
    if (!this.rows.has(sale.id)) await this.refresh();
    const row = this.rows.get(sale.id);
    row?.toggle.focus();
    row?.body.scrollIntoView({ block: "nearest" });
  }
}

/** By state; what is coming up by its start, what is over by its end. */
function compare(one, other) {
  const rank = (sale) => (hasEnded(sale) ? ORDER.length : ORDER.indexOf(sale.state));
  if (rank(one) !== rank(other)) return rank(one) - rank(other);
  const key = (sale) => Date.parse((hasEnded(sale) ? sale.closed_at : sale.starts_at) ?? sale.created_at);
  return hasEnded(one) ? key(other) - key(one) : key(one) - key(other);
}

class SaleRow {
  constructor(sale, table) {
    this.table = table;
    this.path = `/api/sales/${encodeURIComponent(sale.id)}`;
    this.status = element("span", { class: "status" });
    this.toggle = element("button", { type: "button", class: "toggle", "aria-expanded": "false" }, sale.name);
    this.toggle.addEventListener("click", () => this.#toggle());
    this.origin = element("span", { class: "quiet block" });
    this.discount = element("span", { class: "block" });
    this.targets = element("span", { class: "quiet block clip" });
    this.starts = when();
    this.ends = when();
    this.bar = element("progress", { "aria-label": "Progress" });
    this.progress = element("span", { class: "block" });
    this.drifted = element("span", { class: "ask block" });
    this.failed = element("span", { class: "bad block" });
    this.rest = element("span", { class: "quiet block" });
    this.decide = button("Decide", () => this.isOpen || this.#toggle(), { class: "strong" });
    this.schedule = button("Schedule", () => this.#post("resume", {}));
    this.start = button("Start now", () => this.#ask(`Start "${sale.name}" of ${sale.store} now?`, "apply"));
    this.end = button("End now", () =>
      this.#ask(`End "${sale.name}" of ${sale.store} now? All prices are restored.`, "revert"),
    );
    this.cancel = button("Cancel", () => this.#cancel());
    this.notice = element("td", { role: "cell", colspan: COLUMNS });
    this.noticeRow = element("tr", { role: "row", class: "error-row", hidden: true }, this.notice);
    this.error = element("td", { role: "alert", colspan: COLUMNS, hidden: true });
    this.errorRow = element("tr", { role: "row", class: "error-row" }, this.error);
    const details = element("td", { role: "cell", colspan: COLUMNS });
    this.details = new SaleDetails(details, (work, place) => table.attempt(work, place), () => table.refresh());
    this.detailRow = element("tr", { role: "row", class: "detail-row", hidden: true }, details);
    const main = element(
      "tr",
      { role: "row", class: "main-row" },
      cell("State", { class: "status-cell" }, this.status),
      cell("Sale", { class: "job-cell" }, this.toggle, this.origin),
      cell("Discount", { class: "discount-cell" }, this.discount, this.targets),
      cell("Starts", {}, ...Object.values(this.starts)),
      cell("Ends", {}, ...Object.values(this.ends)),
      cell("Progress", { class: "wide progress-cell" }, this.bar, this.progress, this.drifted, this.failed, this.rest),
      cell("", { class: "actions" }, this.decide, this.schedule, this.start, this.end, this.cancel),
    );
    this.body = element("tbody", { role: "rowgroup", "data-id": sale.id }, main, this.errorRow, this.noticeRow, this.detailRow);
  }

  get isOpen() {
    return !this.detailRow.hidden;
  }

  show(sale) {
    this.sale = sale;
    setText(this.status, stateName(sale.state));
    setAttribute(this.status, "data-status", sale.state);
    setText(this.origin, [sale.store, sale.origin, ...(sale.is_cancelled && !hasEnded(sale) ? ["called off"] : [])].join(" · "));
    setText(this.discount, discount(sale.definition));
    const excluded = selection(sale.definition.excludes);
    setText(this.targets, `${selection(sale.definition.targets)}${excluded ? `, except ${excluded}` : ""}`);
    setAttribute(this.targets, "title", this.targets.textContent);
    setText(this.notice, sale.notice ?? "");
    setAttribute(this.notice, "data-tone", { NEEDS_ATTENTION: "ask", FAILED: "bad" }[sale.state] ?? "warn");
    setHidden(this.noticeRow, !sale.notice);
    setHidden(this.decide, sale.state !== "NEEDS_ATTENTION");
    setHidden(this.schedule, sale.state !== "DRAFT" || !sale.starts_at);
    setHidden(this.start, !isWaiting(sale));
    setHidden(this.end, !isOnSale(sale));
    setHidden(this.cancel, !isWaiting(sale) && !isOnSale(sale));
    this.#showProgress();
    this.tick();
    if (this.isOpen) this.details.show(sale);
  }

  tick() {
    const { sale } = this;
    const unbegun = sale.state === "DRAFT" ? "When a person starts it" : "–";
    showWhen(this.starts, sale.starts_at, isWaiting(sale), unbegun, lateStart(sale));
    const isOver = hasEnded(sale);
    const unended = sale.ended_at ? `${time(sale.ended_at)}, by a person` : isOver ? "–" : "When a person ends it";
    showWhen(this.ends, sale.ends_at, isOnSale(sale), unended, lateEnd(sale));
    const isEarly = sale.ends_at && sale.ended_at && Date.parse(sale.ended_at) < Date.parse(sale.ends_at);
    if (isEarly) setText(this.ends.away, `ended ${time(sale.ended_at)}`);
  }

  /** Whether a start or an end has come that the page has not heard about. */
  isDue() {
    const { sale } = this;
    const next = sale.state === "SCHEDULED" ? sale.starts_at : isOnSale(sale) ? sale.ends_at : null;
    return next !== null && Date.parse(next) + 500 < now();
  }

  #showProgress() {
    const counts = this.sale.counts ?? {};
    const { text, share, rest } = progress(this.sale);
    setHidden(this.bar, share === null);
    if (share !== null) setAttribute(this.bar, "value", share.toFixed(4));
    setText(this.progress, text);
    setText(this.drifted, counted(counts, ["DRIFTED"]));
    setText(this.failed, counted(counts, ["STUCK", "REFUSED"]));
    setText(this.rest, rest);
  }

  #toggle() {
    const open = this.detailRow.hidden;
    setHidden(this.detailRow, !open);
    setAttribute(this.toggle, "aria-expanded", String(open));
    if (open) this.details.show(this.sale);
  }

  #cancel() {
    const { sale } = this;
    const runs = isOnSale(sale) ? " All prices are restored." : "";
    return this.#ask(`Cancel "${sale.name}" of ${sale.store}?${runs}`, "cancel");
  }

  #ask(question, action) {
    return confirm(question) ? this.#post(action) : undefined;
  }

  #post(action, body) {
    return this.table.attempt(async () => {
      const changed = await post(`${this.path}/${action}`, body);
      if (changed?.id === this.sale.id && changed.counts) this.show({ ...this.sale, ...changed });
      await this.table.refresh();
    }, this.error);
  }
}

/** A time in a cell: itself, how far off, and what is late. */
const when = () => ({
  at: element("span", { class: "block nowrap" }),
  away: element("span", { class: "quiet block nowrap" }),
  late: element("span", { class: "bad block" }),
});

function showWhen(nodes, planned, isAwaited, otherwise, late) {
  setText(nodes.at, planned ? time(planned) : otherwise);
  nodes.at.classList.toggle("nowrap", Boolean(planned));
  setAttribute(nodes.at, "title", planned ? moment(planned) : null);
  setText(nodes.away, planned && isAwaited && Date.parse(planned) > now() ? relative(planned) : "");
  setText(nodes.late, late);
}
