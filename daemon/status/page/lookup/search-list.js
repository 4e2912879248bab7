// A list that is searched: a field for words, the state, the store, all in the address; more rows on request.

import { explanation, getJson, Latest } from "../api.js";
import { act } from "../actions.js";
import { button, element, setHidden, setText } from "../dom.js";
import { setQuery } from "../router.js";
import { refresh, status } from "../status.js";
import { table } from "../table.js";
import { t } from "../words.js";

const PAGE = 50; // rows
const PAUSE = 250; // milliseconds without a key until what was typed is looked for

export class SearchList {
  /**
   * `path`: of the list's route; `rows(answer)`: its rows; `states`: `[value, label]` of each; `columns`, `caption` and
   * `key` as of `table`; `hint`: what may be typed; `empty`: what to say where there is nothing.
   */
  constructor(root, { path, rows, states, columns, caption, key, title, label, hint, empty, others, signal }) {
    Object.assign(this, { path, rowsOf: rows, empty, signal });
    this.latest = new Latest();
    this.shown = [];
    this.text = element("input", { type: "search", name: "q", autocomplete: "off", spellcheck: "false", placeholder: hint });
    this.state = element("select", { name: "state" }, option("", t("any")), ...states.map(([value, name]) => option(value, name)));
    this.store = element("select", { name: "store" });
    this.storeLabel = element("label", { hidden: true }, t("Store"), this.store);
    this.said = element("p", { class: "quiet", role: "status" });
    this.table = table({ caption, columns, key });
    this.more = button(t("More"), (pressed) => act(pressed, () => this.#loadMore()));
    this.moreGroup = element("div", { class: "actions more-rows", hidden: true }, this.more);
    const form = element(
      "form",
      { class: "filters", role: "search" },
      element("label", { class: "wide" }, label, this.text),
      element("label", {}, t("State"), this.state),
      this.storeLabel,
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#choose();
    });
    this.text.addEventListener("input", () => {
      clearTimeout(this.pause);
      this.pause = setTimeout(() => this.#choose(), PAUSE);
    });
    for (const one of [this.state, this.store]) one.addEventListener("change", () => this.#choose());
    root.append(element("div", { class: "head" }, element("h1", {}, title), others), form, this.said, this.table, this.moreGroup);
  }

  /** Shows what the address asks for. */
  async open(asked) {
    const stores = (status() ?? (await refresh(), status()))?.stores ?? [];
    this.store.replaceChildren(...stores.map((name) => option(name, name)));
    setHidden(this.storeLabel, stores.length < 2);
    this.text.value = asked.get("q") ?? "";
    this.state.value = asked.get("state") ?? "";
    if (stores.includes(asked.get("store"))) this.store.value = asked.get("store");
    await this.#load();
  }

  close() {
    clearTimeout(this.pause);
  }

  async #choose() {
    clearTimeout(this.pause);
    setQuery({ q: this.text.value.trim(), state: this.state.value, store: this.storeLabel.hidden ? null : this.store.value }, { replace: true });
    await this.#load();
  }

  async #load() {
    if (!this.store.value) return this.#say(t("The configuration has no store."));
    this.table.setAttribute("aria-busy", "true");
    try {
      const answer = await this.latest.get(`${this.path}?${this.#request()}`, { signal: this.signal });
      if (answer === null) return;
      this.shown = [];
      this.#show(answer);
    } catch (error) {
      if (!this.signal.aborted) this.#say(explanation(error), "tone-bad");
    } finally {
      this.table.removeAttribute("aria-busy");
    }
  }

  async #loadMore() {
    this.#show(await getJson(`${this.path}?${this.#request(this.cursor)}`, { signal: this.signal }));
  }

  #request(cursor = null) {
    const asked = new URLSearchParams({ store: this.store.value, limit: PAGE });
    const chosen = { q: this.text.value.trim(), state: this.state.value, cursor };
    for (const [name, value] of Object.entries(chosen)) if (value) asked.set(name, value);
    return asked;
  }

  #show(answer) {
    this.shown = [...this.shown, ...this.rowsOf(answer)];
    this.cursor = answer.next_cursor;
    this.table.show(this.shown);
    setHidden(this.table, this.shown.length === 0);
    setHidden(this.moreGroup, this.cursor === null);
    this.#say(answer.text ?? (this.shown.length === 0 ? this.empty : ""));
  }

  #say(text, tone = "quiet") {
    this.said.className = tone;
    setText(this.said, text);
    setHidden(this.said, text === "");
  }
}

const option = (value, label) => element("option", { value }, label);
