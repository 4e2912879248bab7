// Which runs are shown: a form whose choices are kept in the address, so that they can be shared and gone back to.

import { getJson } from "../api.js";
import { button, element, setAttribute, setText } from "../dom.js";
import { now } from "../now.js";
import { moment, t } from "../words.js";
import { instant, midnight } from "./shop-time.js";
import { OUTCOME_CHOICES, STATUSES, TRIGGERS, word } from "./words.js";

const NAMES = ["search", "store", "type", "outcome", "status", "schedule", "trigger", "since", "until"];
const TROUBLE = ["retrying", "completed_with_failures", "repaired", "failed"]; // outcomes
const TYPING = 400; // milliseconds without a key until a text is looked for

const LABELS = {
  search: () => t("Text"),
  store: () => t("Store"),
  type: () => t("Job"),
  outcome: () => t("Outcome"),
  status: () => t("Status"),
  schedule: () => t("Schedule"),
  trigger: () => t("Started"),
  since: () => t("From"),
  until: () => t("Until"),
};

/** The filters of an address. */
export function filtersOf(query) {
  const set = NAMES.map((name) => [name, query.get(name)?.trim() ?? ""]).filter(([, value]) => value !== "");
  return Object.fromEntries(set);
}

/** All of them unset, as `setQuery` takes it. */
export const cleared = () => Object.fromEntries(NAMES.map((name) => [name, null]));

/** What the daemon is asked for. */
export function requestOf(filters) {
  const asked = new URLSearchParams();
  for (const [name, value] of Object.entries(filters)) {
    const isTime = name === "since" || name === "until";
    const sent = isTime ? instant(value) : value;
    if (sent !== null) asked.set(name, sent);
  }
  if (!meansSteps(filters)) asked.set("runs", "true");
  return asked;
}

/** Whether what is looked for may be a step of a chain: what went wrong with one is not said of the chain as well. */
const meansSteps = ({ type, search, outcome }) => Boolean(type || search) || TROUBLE.includes(outcome);

export class Filters {
  /** `onChange(filters)` takes what a person has chosen. */
  constructor(onChange) {
    this.onChange = onChange;
    this.types = new Map(); // names of job types
    this.fields = {
      search: element("input", { type: "search", maxlength: 200, autocomplete: "off", placeholder: t("error, filter or id") }),
      store: element("select"),
      type: element("select"),
      outcome: choices(OUTCOME_CHOICES),
      status: choices(STATUSES),
      schedule: element("select"),
      trigger: choices(TRIGGERS),
      since: element("input", { type: "datetime-local" }),
      until: element("input", { type: "datetime-local" }),
    };
    this.summary = element("summary", {});
    this.node = this.#build();
  }

  #build() {
    const labels = NAMES.map((name) => {
      setAttribute(this.fields[name], "name", name);
      return element("label", {}, LABELS[name](), this.fields[name]);
    });
    const day = (label, from, to) =>
      button(label, () => this.#choose({ since: midnight(now(), from), until: to === null ? "" : midnight(now(), to) }));
    const form = element(
      "form",
      { class: "filters", role: "search", "aria-label": t("Filters of the runs") },
      ...labels,
      element("div", { class: "actions" }, day(t("Today"), 0, null), day(t("Yesterday"), -1, 0), button(t("Clear"), () => this.onChange({}))),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#changed();
    });
    form.addEventListener("change", () => this.#changed());
    this.fields.search.addEventListener("input", () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.#changed(), TYPING);
    });
    this.panel = element("details", { class: "filter-panel" }, this.summary, form);
    this.panel.open = matchMedia("(min-width: 641px)").matches; // on a phone the runs come first
    return this.panel;
  }

  /** The choices that the configuration gives. A filter that names none of them stays in the address. */
  async load() {
    const [{ types }, { schedules }] = await Promise.all([getJson("/api/job-types"), getJson("/status")]);
    this.types = new Map(types.map(({ type, name }) => [type, name]));
    fill(this.fields.type, this.types);
    fill(this.fields.schedule, new Map(schedules.map(({ name }) => [name, name])));
    const stores = new Set([...types.flatMap((type) => type.stores), ...schedules.map((schedule) => schedule.store)]);
    fill(this.fields.store, new Map([...stores].sort().map((store) => [store, store])));
    this.fields.store.closest("label").hidden = stores.size < 2 && !this.filters?.store;
    if (this.filters) this.show(this.filters);
  }

  /** Shows the filters of the address. */
  show(filters) {
    this.filters = filters;
    for (const [name, field] of Object.entries(this.fields)) {
      const value = filters[name] ?? "";
      if (field === document.activeElement && field.type === "search") continue; // a person types
      if (field.tagName === "SELECT") ensure(field, value);
      if (field.value !== value) field.value = value;
    }
    const words = this.words(filters).map(({ value }) => value);
    setText(this.summary, words.length ? `${t("Filters")}: ${words.join(" · ")}` : t("Filters"));
  }

  /** The filters in words: {name, label, value} each. */
  words(filters) {
    return Object.entries(filters).map(([name, value]) => ({ name, label: LABELS[name](), value: this.#word(name, value) }));
  }

  #word(name, value) {
    switch (name) {
      case "type": return this.types.get(value) ?? value;
      case "outcome": return word(OUTCOME_CHOICES, value);
      case "status": return word(STATUSES, value);
      case "trigger": return word(TRIGGERS, value);
      case "since": return t("from {time}", { time: shownTime(value) });
      case "until": return t("until {time}", { time: shownTime(value) });
      default: return value;
    }
  }

  #choose(changes) {
    this.onChange(filtersOf(new URLSearchParams({ ...this.filters, ...changes })));
  }

  #changed() {
    clearTimeout(this.typing);
    const chosen = Object.fromEntries(NAMES.map((name) => [name, this.fields[name].value]));
    this.onChange(filtersOf(new URLSearchParams(chosen)));
  }

  close() {
    clearTimeout(this.typing);
  }
}

function choices(table) {
  const select = element("select");
  fill(select, new Map(Object.entries(table).map(([value, name]) => [value, name()])));
  return select;
}

function fill(select, names) {
  const options = [...names].map(([value, name]) => element("option", { value }, name));
  select.replaceChildren(element("option", { value: "" }, t("any")), ...options);
}

/** A value that is no longer a choice, such as a schedule that was removed, can still be filtered by. */
function ensure(select, value) {
  if (value !== "" && ![...select.options].some((option) => option.value === value)) {
    select.append(element("option", { value }, value));
  }
}

function shownTime(value) {
  const iso = instant(value);
  return iso === null ? value : moment(iso);
}
