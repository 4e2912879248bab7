// Picks several values out of what the shop has, found by a part of the name; what it does not know can be entered, too.
// The pattern is that of https://www.w3.org/WAI/ARIA/apg/patterns/combobox/ with a list.

import { Latest } from "../api.js";
import { button, element, setAttribute, setHidden } from "../dom.js";
import { number, t } from "../words.js";

const TYPING = 150; // milliseconds without a key after which the shop is asked
const MOST = 20; // offered at once

let made = 0; // ids are unique on the page

export class Picker {
  /** `kind` as `/api/choices` names it; `store()` is whose values they are; `hint` stands in the empty field. */
  constructor({ label, kind, store, hint = "", onChange }) {
    this.kind = kind;
    this.store = store;
    this.onChange = onChange;
    this.chosen = new Map(); // label by value
    this.answers = new Latest();
    this.active = -1;
    this.id = `picker-${(made += 1)}`;
    this.chips = element("span", { class: "chips" });
    this.list = element("ul", { role: "listbox", id: `${this.id}-list`, class: "options", "aria-label": label, hidden: true });
    this.input = element("input", {
      id: this.id,
      type: "text",
      role: "combobox",
      "aria-autocomplete": "list",
      "aria-expanded": "false",
      "aria-controls": this.list.id,
      autocomplete: "off",
      placeholder: hint,
    });
    this.input.addEventListener("input", () => this.#ask());
    this.input.addEventListener("focus", () => this.#ask());
    this.input.addEventListener("blur", () => this.#leave());
    this.input.addEventListener("keydown", (event) => this.#press(event));
    this.node = element("div", { class: "picker" }, element("label", { for: this.id }, label), this.chips, this.input, this.list);
  }

  /** What has been picked, with what is still in the field. */
  values() {
    const entered = this.input.value.trim();
    return [...new Set([...this.chosen.keys(), ...(entered ? [entered] : [])])];
  }

  clear() {
    this.chosen.clear();
    this.input.value = "";
    this.#showChosen();
  }

  disable(isOff) {
    for (const one of [this.input, ...this.chips.querySelectorAll("button")]) one.disabled = isOff;
  }

  close() {
    clearTimeout(this.soon);
    this.answers.forget();
  }

  #ask() {
    clearTimeout(this.soon);
    this.soon = setTimeout(() => this.#offer(), TYPING);
  }

  async #offer() {
    const asked = new URLSearchParams({ store: this.store(), kind: this.kind, q: this.input.value.trim(), limit: MOST });
    try {
      const answer = await this.answers.get(`/api/choices?${asked}`);
      if (answer && document.activeElement === this.input) this.#showOptions(answer.choices.filter((choice) => !this.chosen.has(choice.value)));
    } catch {
      this.#hide(); // what is entered counts all the same
    }
  }

  #showOptions(choices) {
    this.offered = choices;
    this.active = -1;
    this.list.replaceChildren(...choices.map((choice, at) => this.#option(choice, at)));
    setHidden(this.list, choices.length === 0);
    setAttribute(this.input, "aria-expanded", String(choices.length > 0));
    setAttribute(this.input, "aria-activedescendant", null);
  }

  #option(choice, at) {
    const count = choice.count === null ? null : element("span", { class: "quiet" }, number(choice.count));
    const made = element("li", { role: "option", id: `${this.id}-${at}`, "aria-selected": "false" }, element("span", {}, choice.label), count);
    made.addEventListener("mousedown", (event) => {
      event.preventDefault(); // the field keeps the focus
      this.#choose(choice);
    });
    return made;
  }

  #press(event) {
    const isOpen = !this.list.hidden;
    switch (event.key) {
      case "ArrowDown":
      case "ArrowUp":
        event.preventDefault();
        if (isOpen) this.#move(event.key === "ArrowDown" ? 1 : -1);
        else this.#ask();
        break;
      case "Enter":
        if (isOpen && this.active >= 0) this.#choose(this.offered[this.active]);
        else if (this.input.value.trim() !== "") this.#enter();
        else return;
        event.preventDefault(); // the form is not sent by it
        break;
      case "Escape":
        this.#hide();
        break;
      case "Backspace":
        if (this.input.value === "" && this.chosen.size > 0) this.#remove([...this.chosen.keys()].at(-1));
        break;
    }
  }

  #move(by) {
    this.active = (this.active + by + this.offered.length) % this.offered.length;
    [...this.list.children].forEach((option, at) => setAttribute(option, "aria-selected", String(at === this.active)));
    this.list.children[this.active].scrollIntoView({ block: "nearest" });
    setAttribute(this.input, "aria-activedescendant", `${this.id}-${this.active}`);
  }

  #choose({ value, label }) {
    this.chosen.set(value, label);
    this.input.value = "";
    this.#showChosen();
    this.#hide();
    this.#ask();
  }

  /** Takes what was entered as it is. */
  #enter() {
    const entered = this.input.value.trim();
    if (entered) this.#choose({ value: entered, label: entered });
  }

  /** What was entered stays in the field, and counts: to move it now would move what is about to be pressed. */
  #leave() {
    clearTimeout(this.soon);
    this.#hide();
  }

  #remove(value) {
    this.chosen.delete(value);
    this.#showChosen();
  }

  #showChosen() {
    const chip = ([value, label]) => button(label, () => {
      this.#remove(value);
      this.input.focus();
    }, { class: "picked", "aria-label": t("Remove {name}", { name: label }) });
    this.chips.replaceChildren(...[...this.chosen].map(chip));
    this.onChange();
  }

  #hide() {
    this.answers.forget();
    this.active = -1;
    setHidden(this.list, true);
    setAttribute(this.input, "aria-expanded", "false");
    setAttribute(this.input, "aria-activedescendant", null);
  }
}
