// The log lines of one job: read when somebody opens them, and continued while it runs.

import { act } from "../actions.js";
import { explanation, getJson } from "../api.js";
import { button, element, setHidden } from "../dom.js";
import { moment, t, time } from "../words.js";

const PAGE = 200; // lines
const TONES = { warning: "warn", error: "bad", critical: "bad" };

export class JobLog {
  constructor(job, signal) {
    this.path = `/api/jobs/${job.id}/log`;
    this.signal = signal;
    this.last = 0; // the id of the last line
    this.cursor = null; // of the page that the last line is on
    this.lines = element("ol", { class: "log-lines" });
    this.notice = element("p", { role: "status" });
    this.more = button(t("Show more"), (pressed) => act(pressed, () => this.#read()), { hidden: true });
    this.panel = element("details", {}, element("summary", {}, t("Log")), this.notice, this.lines, element("div", { class: "actions" }, this.more));
    this.panel.addEventListener("toggle", () => this.refresh());
    this.node = element("section", { class: "card fold" }, this.panel);
  }

  /** Reads what came after the last line; nothing while nobody looks. */
  async refresh() {
    if (!this.panel.open || this.reading) return;
    this.reading = true;
    try {
      await this.#read();
    } catch (error) {
      if (!this.signal.aborted) this.notice.replaceChildren(explanation(error));
    } finally {
      this.reading = false;
    }
  }

  async #read() {
    const asked = new URLSearchParams({ limit: PAGE, ...(this.cursor ? { cursor: this.cursor } : {}) });
    const { lines, next_cursor: next } = await getJson(`${this.path}?${asked}`, { signal: this.signal });
    const added = lines.filter((line) => line.id > this.last);
    this.lines.append(...added.map(lineItem));
    this.last = added.at(-1)?.id ?? this.last;
    if (next) this.cursor = next; // else the page is not full yet: it is read again
    setHidden(this.more, next === null);
    this.notice.replaceChildren(this.last ? "" : t("No lines are kept of this job."));
  }
}

function lineItem(line) {
  const tone = TONES[line.level.toLowerCase()];
  const fields = Object.entries(line.fields ?? {}).map(([name, value]) => `${name}=${typeof value === "object" ? JSON.stringify(value) : value}`);
  return element(
    "li",
    { class: tone ? `tone-${tone}` : null },
    element("time", { datetime: line.at, title: moment(line.at) }, time(line.at)),
    " ",
    element("code", {}, line.event),
    line.text ? ` ${line.text}` : null,
    fields.length ? element("span", { class: "quiet" }, ` ${fields.join(" ")}`) : null,
  );
}
