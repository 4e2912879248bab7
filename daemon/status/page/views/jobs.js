// The runs: filtered by what the address says, newest first, paged to the last. What is new is announced, never pushed in.

import { download, explanation, getJson } from "../api.js";
import { act } from "../actions.js";
import { button, element, setHidden, setText } from "../dom.js";
import { cleared, Filters, filtersOf, requestOf } from "../jobs/filters.js";
import { RunRow } from "../jobs/row.js";
import { connection } from "../live.js";
import { link, query, setQuery } from "../router.js";
import { t, tn } from "../words.js";

const PAGE = 50; // runs
const ROUNDS = 10; // requests for one page: one of a search looks through so many jobs and no more
const REREAD = 1_000; // milliseconds from a hint until what is shown is read again, at the soonest
const FAILED = new Set(["failed", "completed_with_failures", "retrying"]); // what another run may repair
const SHORTCUTS = [
  [{}, () => t("All")],
  [{ outcome: "failed" }, () => t("Failed")],
  [{ outcome: "completed_with_failures" }, () => t("Rows fail")],
  [{ outcome: "running" }, () => t("Running")],
];
const HIDDEN_TYPE = "NOOP"; // of `dongbo doctor`

const newer = new Map(); // the address of the page before, by cursor: the daemon leads to older pages only

export default {
  title: () => t("Jobs"),

  async open(root, { query: asked, signal }) {
    const view = new JobsView(root, signal);
    await view.show(asked);
    return view;
  },
};

class JobsView {
  constructor(root, signal) {
    this.signal = signal;
    this.rows = new Map(); // by id
    this.stale = new Set(); // ids of rows to be read again
    this.filters = new Filters((filters) => this.#choose(filters));
    this.#build(root);
    this.unsubscribe = connection.subscribe({
      onJob: (job) => this.#hear(job),
      onSnapshot: () => this.#readAllAgain(),
      onPruned: () => this.#readAllAgain(),
    });
    this.filters.load().catch((error) => this.#tell(explanation(error)));
  }

  #build(root) {
    const csv = button(t("CSV"), (pressed) => act(pressed, () => this.#download()));
    this.shortcuts = element("div", { class: "groups", role: "navigation", "aria-label": t("What is asked for most") });
    this.news = button("", () => this.#load(), { class: "run-news", hidden: true });
    this.announcement = element("div", { role: "status" }, this.news);
    this.notice = element("p", { class: "tone-bad", role: "alert", hidden: true });
    this.list = element("ol", { class: "runs card", "aria-label": t("Runs, newest first") });
    this.empty = element("div", { class: "card empty", role: "status", hidden: true });
    this.pages = element("div", { class: "run-pages", role: "navigation", "aria-label": t("Pages of runs") });
    root.append(
      element("div", { class: "head" }, element("h1", {}, t("Jobs")), element("div", { class: "actions" }, csv)),
      this.shortcuts,
      this.filters.node,
      this.notice,
      this.announcement,
      this.list,
      this.empty,
      this.pages,
    );
  }

  /** Shows what the address asks for. */
  async show(asked) {
    this.chosen = filtersOf(asked);
    this.cursor = asked.get("cursor");
    this.filters.show(this.chosen);
    this.shortcuts.replaceChildren(...SHORTCUTS.map(([filters, name]) => this.#shortcut(filters, name())));
    await this.#load();
  }

  #shortcut(filters, name) {
    const isHere = JSON.stringify(filters) === JSON.stringify(this.chosen);
    const query = new URLSearchParams(filters).toString();
    return link(query ? `/jobs?${query}` : "/jobs", name, { class: "button choice", "aria-current": isHere ? "true" : null });
  }

  onTick() {
    for (const row of this.rows.values()) row.tick();
  }

  close() {
    clearTimeout(this.soon);
    this.filters.close();
    this.unsubscribe();
  }

  async #choose(filters) {
    if (JSON.stringify(filters) === JSON.stringify(this.chosen)) return;
    setQuery({ ...cleared(), ...filters, cursor: null });
    await this.show(query());
  }

  async #load() {
    const number = (this.asked = (this.asked ?? 0) + 1);
    const isCurrent = () => number === this.asked && !this.signal.aborted;
    this.list.setAttribute("aria-busy", "true");
    try {
      let older = this.cursor;
      for (let round = 0; round < ROUNDS; round += 1) {
        const answer = await getJson(`/api/jobs?${this.#request(older, round === 0 ? PAGE : PAGE - this.rows.size)}`, { signal: this.signal });
        if (!isCurrent()) return;
        if (round === 0) this.#clear();
        this.#append(answer);
        older = answer.next_cursor;
        if (older === null || this.rows.size >= PAGE) break;
      }
      if (this.rows.size === 0) this.#explainEmptiness(older);
      this.#showPages(older);
    } catch (error) {
      if (isCurrent()) this.#tell(explanation(error));
    } finally {
      if (isCurrent()) this.list.removeAttribute("aria-busy");
    }
  }

  #request(cursor, limit) {
    const asked = requestOf(this.chosen);
    asked.set("limit", limit);
    if (cursor) asked.set("cursor", cursor);
    return asked;
  }

  #clear() {
    this.rows.clear();
    this.list.replaceChildren();
    this.newest = "";
    this.stale.clear();
    for (const each of [this.news, this.notice]) setHidden(each, true);
    this.pages.replaceChildren();
    this.empty.replaceChildren(t("Looking…"));
  }

  #append({ jobs, summaries }) {
    jobs.forEach((job, at) => {
      const row = new RunRow(job, summaries[at]);
      this.rows.set(job.id, row);
      this.list.append(row.node);
    });
    this.newest ||= jobs[0]?.id ?? "";
    setHidden(this.list, this.rows.size === 0);
    setHidden(this.empty, this.rows.size > 0);
  }

  #showPages(older) {
    const here = new URLSearchParams(this.chosen);
    const at = (cursor) => {
      const there = new URLSearchParams(here);
      if (cursor) there.set("cursor", cursor);
      return `/jobs?${there}`;
    };
    const links = [];
    if (this.cursor) {
      links.push(link(at(null), t("Newest"), { class: "button" }));
      if (newer.has(this.cursor)) links.push(link(at(newer.get(this.cursor)), t("Newer"), { class: "button", rel: "prev" }));
    }
    if (older) {
      newer.set(older, this.cursor);
      links.push(link(at(older), this.rows.size === 0 ? t("Look further back") : t("Older"), { class: "button", rel: "next" }));
    } else if (this.rows.size > 0) {
      links.push(element("span", { class: "quiet" }, t("That was the oldest.")));
    }
    this.pages.replaceChildren(...links);
  }

  /** Says what was looked for, and offers to look for less. */
  #explainEmptiness(older) {
    const words = this.filters.words(this.chosen);
    const parts = [];
    if (words.length === 0) {
      parts.push(element("p", {}, this.cursor ? t("There is nothing older.") : t("Nothing has run yet.")));
    } else {
      const said = words.map(({ label, value }) => `${label}: ${value}`).join(" · ");
      const found = older === null ? t("No run fits {filters}.", { filters: said }) : t("No run fits {filters} so far.", { filters: said });
      parts.push(element("p", {}, found));
      const without = words.map(({ name, label }) => {
        const { [name]: _, ...rest } = this.chosen;
        return button(t("Without “{filter}”", { filter: label }), () => this.#choose(rest));
      });
      if (words.length > 1) without.push(button(t("All runs"), () => this.#choose({})));
      parts.push(element("p", { class: "actions" }, ...without));
    }
    this.empty.replaceChildren(...parts);
  }

  #hear(job) {
    const row = this.rows.get(job.id);
    if (row && row.job.version < job.version) {
      row.showJob(job);
      this.stale.add(job.id);
    }
    if (this.rows.has(job.parent_id)) this.stale.add(job.parent_id);
    if (job.completed_at) {
      for (const [id, { summary }] of this.rows) if (FAILED.has(summary.outcome)) this.stale.add(id);
    }
    if (!row && job.type !== HIDDEN_TYPE && job.id > this.newest) this.hasNews = true;
    if (this.stale.size > 0 || this.hasNews) this.#rereadSoon();
  }

  #readAllAgain() {
    if (this.newest === undefined) return; // the list is still to come
    for (const id of this.rows.keys()) this.stale.add(id);
    this.hasNews = true;
    this.#rereadSoon();
  }

  #rereadSoon() {
    this.soon ??= setTimeout(async () => {
      this.soon = null;
      try {
        await Promise.all([this.#reread(), this.#lookForNews()]);
      } catch {
        // The page shows the state of the connection; what is stale is read again with the snapshot that follows.
      }
    }, REREAD);
  }

  /** What of the shown rows may have changed, wherever it would stand by now. */
  async #reread() {
    const ids = [...this.stale].filter((id) => this.rows.has(id));
    this.stale.clear();
    if (ids.length === 0) return;
    const { jobs, summaries } = await getJson(`/api/jobs?${new URLSearchParams({ ids: ids.join(","), limit: ids.length })}`);
    const found = new Set();
    jobs.forEach((job, at) => {
      found.add(job.id);
      const row = this.rows.get(job.id);
      if (row && row.job.version <= job.version) row.show(job, summaries[at]);
    });
    for (const id of ids) if (!found.has(id)) this.rows.get(id)?.showGone();
  }

  /** Counts what is newer than the list by the same filters; an empty list has no row to push away. */
  async #lookForNews() {
    if (!this.hasNews) return;
    this.hasNews = false;
    const number = this.asked;
    const { jobs } = await getJson(`/api/jobs?${this.#request(null, PAGE)}`);
    if (number !== this.asked || this.signal.aborted || this.cursor) return;
    const count = jobs.filter((job) => job.id > this.newest && !this.rows.has(job.id)).length;
    if (count > 0 && this.rows.size === 0) await this.#load();
    else if (count > 0) {
      const values = { n: count };
      setText(this.news, count < PAGE ? tn("{n} new run: show", "{n} new runs: show", values) : t("More than {n} new runs: show", { n: PAGE }));
      setHidden(this.news, false);
    }
  }

  async #download() {
    await download(`/api/jobs.csv?${requestOf(this.chosen)}`, "jobs.csv");
    return t("saved");
  }

  #tell(text) {
    setText(this.notice, text);
    setHidden(this.notice, false);
  }
}
