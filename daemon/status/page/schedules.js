// The table of schedules.

import { post } from "./api.js";
import { button, byId, cell, element, setAttribute, setHidden, setText } from "./dom.js";
import { jobType, moment, now, outcome, relative, time } from "./format.js";

export class ScheduleTable {
  /** `act(work)` carries out an action and shows its error; `refresh()` asks the daemon again. */
  constructor(act, refresh) {
    this.act = act;
    this.refresh = refresh;
    this.table = byId("schedules");
    this.body = this.table.appendChild(element("tbody", { role: "rowgroup" }));
    this.rows = new Map(); // by name
    this.schedules = [];
  }

  show(schedules, zone) {
    this.schedules = schedules;
    const names = new Set(schedules.map((schedule) => schedule.name));
    for (const [name, row] of this.rows) {
      if (!names.has(name)) {
        row.line.remove();
        this.rows.delete(name);
      }
    }
    schedules.forEach((schedule, at) => {
      let row = this.rows.get(schedule.name);
      if (!row) this.rows.set(schedule.name, (row = new ScheduleRow(this, schedule.name)));
      if (this.body.children[at] !== row.line) this.body.insertBefore(row.line, this.body.children[at] ?? null);
      row.show(schedule, zone);
    });
    setHidden(this.table, schedules.length === 0);
    setHidden(byId("schedules-empty"), schedules.length > 0);
  }

  tick() {
    for (const row of this.rows.values()) row.tick();
  }

  /** The schedule that fires next; undefined where none does. */
  next() {
    return this.schedules
      .filter((schedule) => schedule.next_fire !== null)
      .sort((one, other) => Date.parse(one.next_fire) - Date.parse(other.next_fire))[0];
  }

  /** Whether an announced fire has passed, so that there is news to fetch. */
  hasPassed() {
    return this.schedules.some((schedule) => schedule.next_fire !== null && Date.parse(schedule.next_fire) + 500 < now());
  }
}

class ScheduleRow {
  constructor(table, name) {
    this.name = element("span", { class: "strong block" }, name);
    this.paused = element("span", { class: "status", "data-status": "PAUSED" }, "Paused");
    this.store = element("span", { class: "quiet block" });
    this.job = cell("Job");
    this.cron = element("code");
    this.zone = element("span", { class: "quiet block" });
    this.next = element("span", { class: "block" });
    this.nextTime = element("span", { class: "quiet block" });
    this.last = element("span", { class: "block" });
    this.lastOutcome = element("span", { class: "quiet block" });
    const path = `/api/schedules/${encodeURIComponent(name)}`;
    const change = (action) => table.act(async () => {
      await post(`${path}/${action}`);
      await table.refresh();
    });
    this.run = button("Run now", () => change("run"));
    this.pause = button("Pause", () =>
      confirm(`Pause "${name}"? It will not fire again until you resume it, even after a restart.`) ? change("pause") : undefined,
    );
    this.resume = button("Resume", () => change("resume"));
    this.line = element(
      "tr",
      { role: "row", class: "main-row" },
      cell("Schedule", {}, this.name, this.store),
      this.job,
      cell("When", {}, this.cron, this.zone),
      cell("Next fire", { class: "nowrap" }, this.paused, this.next, this.nextTime),
      cell("Last fire", {}, this.last, this.lastOutcome),
      cell("", { class: "actions" }, this.run, this.pause, this.resume),
    );
  }

  show(schedule, zone) {
    this.schedule = schedule;
    setText(this.store, schedule.store);
    setText(this.job, jobType(schedule.type));
    setText(this.cron, schedule.cron);
    setText(this.zone, schedule.timezone === zone ? "" : schedule.timezone);
    setHidden(this.paused, !schedule.paused);
    setHidden(this.pause, schedule.paused);
    setHidden(this.resume, !schedule.paused);
    setText(this.lastOutcome, [schedule.last_outcome && outcome(schedule.last_outcome), schedule.last_detail].filter(Boolean).join(": "));
    this.lastOutcome.classList.toggle("bad", schedule.last_outcome === "failed");
    this.tick();
  }

  tick() {
    const { schedule } = this;
    const next = schedule.next_fire;
    const never = schedule.paused ? "" : "Never again";
    setText(this.next, next ? (Date.parse(next) > now() ? relative(next) : "now") : never);
    setText(this.nextTime, next ? time(next) : "");
    setAttribute(this.next, "title", next ? moment(next) : null);
    setText(this.last, schedule.last_fire ? time(schedule.last_fire) : "Not yet");
    setAttribute(this.last, "title", schedule.last_fire ? moment(schedule.last_fire) : null);
  }
}
