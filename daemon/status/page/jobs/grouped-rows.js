// Rows of a job, such as its pushes: how many there are of each kind and reason, then the rows themselves, page by page.

import { act } from "../actions.js";
import { download, explanation, getJson } from "../api.js";
import { button, element, setHidden, setText } from "../dom.js";
import { table } from "../table.js";
import { number, t, tn } from "../words.js";

const PAGE = 25;
const MOST_GROUPS = 12; // that are offered; the rarest are found among all rows

export class GroupedRows {
  /**
   * `path`: of the rows; `groupsPath`, `csvPath`, `member`: of the answer, what holds the rows. `columns`: of the table.
   * `words(group)`: what a group is called; `count(group)`: its rows; `choose(group)`: the parameters that ask for it.
   */
  constructor({ id, title, signal, path, groupsPath, csvPath, file, member, columns, words, count, choose, actions = [] }) {
    Object.assign(this, { signal, path, groupsPath, member, words, count, choose });
    this.heading = element("h2", { id }, title);
    this.title = title;
    this.groups = element("div", { class: "groups", role: "group", "aria-label": t("Show only") });
    this.notice = element("p", { class: "tone-bad", role: "alert", hidden: true });
    this.table = table({ caption: title, columns, key: (row) => row.id });
    this.more = button(t("Show more"), (pressed) => act(pressed, () => this.#loadMore()), { hidden: true });
    const csv = button(t("CSV"), (pressed) => act(pressed, () => download(`${csvPath}?${this.#asked()}`, file).then(() => t("saved"))));
    this.node = element(
      "section",
      { class: "job-rows", hidden: true, "aria-labelledby": id },
      this.heading,
      element("div", { class: "actions" }, ...actions, csv),
      this.groups,
      this.notice,
      this.table,
      element("div", { class: "actions" }, this.more),
    );
    this.chosen = null; // a group; null for all
    this.rows = [];
  }

  /** Reads the groups anew, and the rows from the first on. */
  async load() {
    try {
      const { groups } = await getJson(this.groupsPath, { signal: this.signal });
      setHidden(this.node, groups.length === 0);
      setHidden(this.notice, true);
      if (groups.length === 0) return;
      this.#showGroups(groups);
      await this.#loadFirst();
    } catch (error) {
      if (!this.signal.aborted) this.#tell(error);
    }
  }

  #showGroups(groups) {
    const all = groups.reduce((sum, group) => sum + this.count(group), 0);
    setText(this.heading, `${this.title}: ${number(all)}`);
    if (this.chosen && !groups.some((group) => this.#isChosen(group))) this.chosen = null;
    const offered = groups.slice(0, MOST_GROUPS).map((group) => ({ group, label: this.words(group), count: this.count(group) }));
    const choices = [{ group: null, label: t("All"), count: all }, ...offered];
    this.buttons = choices.map(({ group, label, count }) => {
      const made = button(`${number(count)} × ${label}`, () => this.#choose(group), { class: "choice", "aria-pressed": String(this.#isChosen(group)) });
      made.group = group;
      return made;
    });
    setHidden(this.groups, groups.length === 1);
    const others = groups.length - offered.length;
    const rest = others > 0 ? [element("span", { class: "quiet" }, tn("and {n} other reason", "and {n} other reasons", { n: others }))] : [];
    this.groups.replaceChildren(...this.buttons, ...rest);
  }

  #isChosen(group) {
    const named = (one) => one && JSON.stringify(this.choose(one));
    return named(group) === named(this.chosen);
  }

  async #choose(group) {
    this.chosen = group;
    for (const each of this.buttons) each.setAttribute("aria-pressed", String(this.#isChosen(each.group)));
    try {
      await this.#loadFirst();
      setHidden(this.notice, true);
    } catch (error) {
      if (!this.signal.aborted) this.#tell(error);
    }
  }

  #asked() {
    return new URLSearchParams(this.chosen ? this.choose(this.chosen) : {});
  }

  async #loadFirst() {
    this.rows = [];
    this.cursor = null;
    await this.#loadMore();
  }

  async #loadMore() {
    const asked = this.#asked();
    asked.set("limit", PAGE);
    if (this.cursor) asked.set("cursor", this.cursor);
    const chosen = this.chosen;
    const answer = await getJson(`${this.path}?${asked}`, { signal: this.signal });
    if (chosen !== this.chosen) return; // other rows were asked for meanwhile
    this.rows.push(...answer[this.member]);
    this.cursor = answer.next_cursor;
    this.table.show(this.rows);
    setHidden(this.more, this.cursor === null);
  }

  #tell(error) {
    setText(this.notice, explanation(error));
    setHidden(this.notice, false);
    setHidden(this.node, false);
  }
}
