// All schedules and presets, and a form to start any job.

import { act } from "../actions.js";
import { explanation, getJson } from "../api.js";
import { button, byId, element, setHidden, setText } from "../dom.js";
import { now } from "../now.js";
import { JobForm } from "../schedules/job-form.js";
import { ScheduleRow } from "../schedules/row.js";
import { t } from "../words.js";

const PAGE = 100; // schedules
const SOON = 1_000; // milliseconds after a hint until the schedules are read again, at the soonest
const PAUSE = 3_000; // between two looks because of a fire that has come

export default {
  title: () => t("Schedules"),

  async open(root, { query, signal }) {
    const view = new SchedulesView(root, signal);
    await view.load();
    await view.form.load(query.get("type"));
    if (query.has("type")) byId("start").scrollIntoView();
    return view;
  },
};

class SchedulesView {
  constructor(root, signal) {
    this.signal = signal;
    this.rows = new Map(); // by name
    this.nextLook = 0;
    this.wanted = PAGE; // how many are shown at most; a person may ask for more
    this.more = button(t("Show more"), (pressed) => act(pressed, () => this.#showMore()), { hidden: true });
    this.form = new JobForm(signal);
    this.notice = element("p", { class: "notice tone-bad", role: "alert", hidden: true });
    this.timed = new Section(t("Schedules"), TIMED());
    this.presets = new Section(t("Presets"), PRESETS());
    this.empty = element("p", { class: "empty" }, t("No schedules. Add a [[schedules]] table to the configuration."));
    root.append(
      element("h1", {}, t("Schedules")),
      this.notice,
      this.empty,
      this.timed.node,
      element("h2", {}, t("Presets")),
      element("p", { class: "quiet" }, t("Jobs of the configuration that only start when somebody asks: [[schedules]] without cron.")),
      this.presets.node,
      this.more,
      this.form.node,
    );
    this.presetParts = [...root.children].slice(4, 6);
  }

  async load() {
    const { schedules, isWhole } = await this.#read();
    setHidden(this.notice, true);
    const presets = schedules.filter((schedule) => schedule.is_preset);
    const timed = schedules.filter((schedule) => !schedule.is_preset);
    this.#show(this.timed, timed);
    this.#show(this.presets, presets);
    setHidden(this.empty, schedules.length > 0);
    setHidden(this.more, isWhole);
    for (const part of this.presetParts) setHidden(part, presets.length === 0);
    for (const name of [...this.rows.keys()]) if (!schedules.some((one) => one.name === name)) this.rows.delete(name);
  }

  onJob(job) {
    if (job.schedule !== null && job.parent_id === null) this.#refreshSoon();
  }

  /** Pauses and fires by others show there. */
  onStatus(status) {
    const seen = JSON.stringify(status.schedules);
    if (this.seen !== undefined && seen !== this.seen) this.#refreshSoon();
    this.seen = seen;
  }

  onTick() {
    for (const row of this.rows.values()) row.tick();
    if (now() > this.nextLook && [...this.rows.values()].some((row) => row.isDue())) {
      this.nextLook = now() + PAUSE;
      this.#refreshSoon();
    }
  }

  close() {
    clearTimeout(this.soon);

  }

  /** The first schedules, as many as are wanted, and whether these are all. */
  async #read() {
    const schedules = [];
    let cursor = null;
    do {
      const asked = new URLSearchParams({ limit: PAGE, ...(cursor === null ? {} : { cursor }) });
      const page = await getJson(`/api/schedules?${asked}`, { signal: this.signal });
      schedules.push(...page.schedules);
      cursor = page.next_cursor;
    } while (cursor !== null && schedules.length < this.wanted);
    return { schedules, isWhole: cursor === null };
  }

  async #showMore() {
    this.wanted += PAGE;
    await this.load();
    return null;
  }

  #show(section, schedules) {
    const nodes = schedules.map((schedule) => {
      let row = this.rows.get(schedule.name);
      if (!row || row.section !== section) {
        row = new ScheduleRow(schedule, section.columns, () => this.#refreshSoon());
        row.section = section;
        this.rows.set(schedule.name, row);
      } else {
        row.show(schedule);
      }
      return row.node;
    });
    section.show(nodes);
  }

  #refreshSoon() {
    this.soon ??= setTimeout(async () => {
      this.soon = null;
      try {
        await this.load();
      } catch (error) {
        if (this.signal.aborted) return;
        setText(this.notice, explanation(error));
        setHidden(this.notice, false);
      }
    }, SOON);
  }
}

/** A table whose rows look after themselves. */
class Section {
  constructor(caption, columns) {
    this.columns = columns;
    this.body = element("tbody", { role: "rowgroup" });
    const heads = columns.map(({ label }) => element("th", { role: "columnheader", scope: "col" }, label || element("span", { class: "hidden-text" }, t("Actions"))));
    this.node = element(
      "table",
      { role: "table", class: "table schedules", hidden: true },
      element("caption", { class: "hidden-text" }, caption),
      element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, heads)),
      this.body,
    );
  }

  show(nodes) {
    if (nodes.some((node, at) => this.body.children[at] !== node) || nodes.length !== this.body.children.length) this.body.replaceChildren(...nodes);
    setHidden(this.node, nodes.length === 0);
  }
}

const TIMED = () => [
  { key: "schedule", label: t("Schedule") },
  { key: "when", label: t("When") },
  { key: "next", label: t("Next") },
  { key: "last", label: t("Last result") },
  { key: "runs", label: t("Last ten") },
  { key: "actions", label: "" },
];

const PRESETS = () => [{ key: "schedule", label: t("Preset") }, ...TIMED().filter(({ key }) => ["last", "runs", "actions"].includes(key))];
