// All the changes that wait for the answer to a question: by kind, the largest first, page by page to the last.

import { act } from "../actions.js";
import { download, explanation, getJson } from "../api.js";
import { button, element, setHidden, setText } from "../dom.js";
import { PUSH_KINDS, word } from "../jobs/words.js";
import { link, query, setQuery } from "../router.js";
import { table } from "../table.js";
import { money, number, t } from "../words.js";
import { total } from "./words.js";

const PAGE = 50;

export class Changes {
  constructor(approval, signal) {
    this.path = `/api/approvals/${approval.id}/changes`;
    this.file = `approval-${approval.id}.csv`;
    this.store = approval.store;
    this.signal = signal;
    this.kind = query().get("kind");
    this.heading = element("h2", { id: "changes" });
    this.kinds = element("div", { class: "actions kinds", role: "group", "aria-label": t("Show only") });
    this.notice = element("p", { class: "notice tone-bad", role: "alert", hidden: true });
    this.table = table({ caption: t("Changes"), columns: this.#columns(), key: (row) => row.key });
    this.shown = element("span", { class: "quiet", role: "status" });
    this.more = button(t("Show more"), (pressed) => act(pressed, () => this.#loadMore()));
    this.csv = button(t("CSV"), (pressed) => act(pressed, () => this.#save()));
    this.none = element("p", { class: "empty", hidden: true });
    this.node = element(
      "section",
      { "aria-labelledby": "changes" },
      element("div", { class: "head" }, this.heading, element("div", { class: "actions" }, this.csv)),
      this.kinds,
      this.notice,
      this.none,
      this.table,
      element("div", { class: "actions changes-more" }, this.shown, this.more),
    );
  }

  /** Shows the changes of a question as it is now, from the first on. */
  async load(approval) {
    this.counts = approval.counts;
    if (!(this.kind in this.counts)) this.kind = null;
    this.#showKinds();
    await this.#loadFirst();
  }

  #showKinds() {
    const all = total(this.counts);
    setText(this.heading, t("Changes that wait: {n}", { n: number(all) }));
    const choices = [[null, t("All"), all], ...Object.entries(this.counts).map(([kind, n]) => [kind, word(PUSH_KINDS, kind), n])];
    this.buttons = choices.map(([kind, label, n]) => {
      const made = button(`${label} · ${number(n)}`, () => this.#choose(kind), { "aria-pressed": String(kind === this.kind) });
      made.kind = kind;
      return made;
    });
    setHidden(this.kinds, choices.length <= 2);
    this.kinds.replaceChildren(...this.buttons);
  }

  async #choose(kind) {
    this.kind = kind;
    setQuery({ kind }, { replace: true });
    for (const each of this.buttons) each.setAttribute("aria-pressed", String(each.kind === kind));
    await this.#loadFirst();
  }

  async #loadFirst() {
    this.rows = [];
    this.cursor = null;
    try {
      await this.#loadMore();
      setHidden(this.notice, true);
    } catch (error) {
      if (this.signal.aborted) return;
      setText(this.notice, explanation(error));
      setHidden(this.notice, false);
    }
  }

  async #loadMore() {
    const asked = this.#asked({ limit: PAGE, ...(this.cursor ? { cursor: this.cursor } : {}) });
    const { kind } = this;
    const answer = await getJson(`${this.path}?${asked}`, { signal: this.signal });
    if (kind !== this.kind) return; // others were asked for meanwhile
    this.rows.push(...answer.changes.map((change) => ({ ...change, key: `${change.kind} ${change.variant_id} ${change.location_id}` })));
    this.cursor = answer.next_cursor;
    this.table.show(this.rows);
    const of = kind === null ? total(this.counts) : this.counts[kind];
    setText(this.shown, t("{shown} of {n}", { shown: number(this.rows.length), n: number(of) }));
    setHidden(this.shown, this.rows.length === 0);
    setHidden(this.more, this.cursor === null);
    setHidden(this.table, this.rows.length === 0);
    setHidden(this.csv, this.rows.length === 0);
    setText(this.none, of > 0 ? t("The changes of a question that nobody has decided are not kept.") : t("The single changes of this question are not known."));
    setHidden(this.none, this.rows.length > 0);
  }

  async #save() {
    await download(`${this.path}.csv?${this.#asked({})}`, this.file);
    return t("saved");
  }

  #asked(parameters) {
    return new URLSearchParams({ ...parameters, ...(this.kind ? { kind: this.kind } : {}) });
  }

  #columns() {
    const item = ({ variant_id: id, title, sku }) => {
      const address = `/items/${id}?${new URLSearchParams({ store: this.store })}`;
      return element("div", {}, link(address, title || sku || t("Variant {id}", { id })), title && sku ? element("small", {}, sku) : null);
    };
    return [
      { key: "item", label: t("Item"), cell: item },
      { key: "what", label: t("What"), cell: (row) => element("div", {}, word(PUSH_KINDS, row.kind), row.location_id === null ? null : element("small", {}, place(row))) },
      { key: "old", label: t("Now"), class: "number", cell: (row) => money(row.old) },
      { key: "new", label: t("Then"), class: "number", cell: (row) => element("strong", {}, money(row.new)) },
      { key: "share", label: t("Change"), class: "number", cell: share },
      { key: "why", label: t("Why"), cell: (row) => element("div", {}, row.reason, row.is_asked ? null : element("small", {}, t("not asked about: it waits with the others"))) },
    ];
  }
}

const place = ({ location_id: id, location_name: name }) => name ?? t("location {id}", { id });

function share({ old, new: then, share: by }) {
  if (by === null) return "–";
  const signed = Number(then ?? 0) < Number(old) ? -by : by;
  return number(signed, { style: "percent", maximumFractionDigits: Math.abs(signed) < 0.1 ? 1 : 0, signDisplay: "exceptZero" });
}
