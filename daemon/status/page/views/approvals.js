// Questions to a person: those that wait, and what was decided about the others.

import { act } from "../actions.js";
import { getJson } from "../api.js";
import { askedAgain, at, counted, jobLink, outcome, TONES } from "../approvals/words.js";
import { button, element, renew, setHidden } from "../dom.js";
import { link } from "../router.js";
import { table } from "../table.js";
import { ago, t, time, tn } from "../words.js";

const PAGE = 20;
const MOST_OPEN = 100;
const SOON = 500; // milliseconds from a hint until the list is read again

export default {
  title: () => t("Approvals"),

  async open(root, { query, signal }) {
    const view = new ApprovalsView(root, query.get("store"), signal);
    await view.load();
    return view;
  },
};

class ApprovalsView {
  constructor(root, store, signal) {
    this.store = store;
    this.signal = signal;
    this.open = element("div", { class: "card needs" });
    this.none = element("p", { class: "empty" }, t("Nothing waits for approval."));
    this.decided = table({ caption: t("Decided"), columns: decidedColumns(), key: (approval) => approval.id });
    this.more = button(t("Show more"), (pressed) => act(pressed, () => this.#loadMore()));
    this.past = element("section", {}, element("h2", {}, t("Decided")), this.decided, element("div", { class: "actions changes-more" }, this.more));
    root.append(element("h1", {}, t("Approvals")), this.open, this.none, this.past);
  }

  async load() {
    const [waiting, ended] = await Promise.all([this.#get("open", MOST_OPEN), this.#get("decided", PAGE)]);
    renew(this.open, waiting.approvals, (approval) => approval.id, need);
    setHidden(this.open, waiting.approvals.length === 0);
    setHidden(this.none, waiting.approvals.length > 0);
    this.rows = ended.approvals;
    this.#showDecided(ended.next_cursor);
  }

  onJob(job) {
    // A job that begins or ceases to wait is what changes the lists.
    if (this.soon || !["AWAITING_APPROVAL", "PENDING", "COMPLETED", "CANCELLED"].includes(job.status)) return;
    this.soon = setTimeout(() => {
      this.soon = null;
      if (this.rows.length <= PAGE) this.load().catch(() => {}); // the next hint comes; the connection is told of elsewhere
    }, SOON);
  }

  close() {
    clearTimeout(this.soon);
  }

  async #loadMore() {
    const answer = await this.#get("decided", PAGE, this.cursor);
    this.rows = [...this.rows, ...answer.approvals];
    this.#showDecided(answer.next_cursor);
  }

  #showDecided(cursor) {
    this.cursor = cursor;
    this.decided.show(this.rows);
    setHidden(this.past, this.rows.length === 0);
    setHidden(this.more, cursor === null);
  }

  #get(state, limit, cursor = null) {
    const asked = new URLSearchParams({ state, limit, ...(this.store ? { store: this.store } : {}), ...(cursor ? { cursor } : {}) });
    return getJson(`/api/approvals?${asked}`, { signal: this.signal });
  }
}

function need(approval) {
  const again = askedAgain(approval);
  return element(
    "div",
    { class: "need" },
    element(
      "div",
      {},
      element("b", {}, `${approval.name} · ${approval.store}`),
      element("p", { class: "question" }, approval.question),
      element("p", {}, t("since {time}", { time: time(approval.since) }), again ? ` · ${again}` : "", " · ", counted(approval.counts)),
    ),
    element(
      "div",
      { class: "actions" },
      link(`/approvals/${approval.id}`, tn("See the {n} change and decide", "See the {n} changes and decide", { n: approval.asked_changes }), { class: "button main" }),
    ),
  );
}

function decidedColumns() {
  return [
    { key: "when", label: t("When"), cell: ({ id, ended_at: ended }) => link(`/approvals/${id}`, at(ended, time(ended)), { class: "block" }) },
    { key: "what", label: t("What"), cell: (one) => element("div", {}, `${one.name} · ${one.store}`, element("small", {}, counted(one.counts))) },
    { key: "decision", label: t("Decision"), cell: (one) => element("span", { class: `dot tone-${TONES[one.state]}` }, outcome(one)) },
    { key: "asked", label: t("Asked"), cell: (one) => element("div", {}, at(one.since, ago(one.since)), askedAgain(one) ? element("small", {}, askedAgain(one)) : null) },
    { key: "job", label: t("Job"), cell: (one) => (one.decided_job_id ? jobLink(one.decided_job_id, t("See the run")) : null) },
  ];
}
