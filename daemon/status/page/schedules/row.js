// One schedule in the list: when it fires, how its runs went, what can be done. Updated in place.

import { element, setAttribute, setHidden, setText } from "../dom.js";
import { now } from "../now.js";
import { link } from "../router.js";
import { ago, duration, moment, shopZone, t, time } from "../words.js";
import { dots } from "./dots.js";
import { Steering } from "./steering.js";

export class ScheduleRow {
  constructor(schedule, columns, onChange) {
    this.name = link(scheduleUrl(schedule.name), schedule.name, { class: "strong" });
    this.about = element("small");
    this.words = element("span", { class: "block" });
    this.expression = element("code");
    this.zone = element("small");
    this.paused = element("span", { class: "chip tone-warn" }, t("paused"));
    this.next = element("span", { class: "block" });
    this.later = element("small");
    this.result = element("span", { class: "block" });
    this.usual = element("small");
    this.dots = element("span", { class: "block" });
    this.steering = new Steering(schedule.name, onChange);
    const contents = {
      schedule: [this.name, this.about],
      when: [this.words, this.expression, this.zone],
      next: [this.paused, this.next, this.later],
      last: [this.result, this.usual],
      runs: [this.dots],
      actions: [this.steering.node],
    };
    const cells = columns.map(({ key, label }) => element("td", { role: "cell", "data-label": label, class: `schedule-${key}` }, element("div", {}, contents[key])));
    this.node = element("tr", { role: "row", "data-name": schedule.name }, cells);
    this.show(schedule);
  }

  show(schedule) {
    this.schedule = schedule;
    setText(this.about, `${schedule.type_name} · ${schedule.store}`);
    setText(this.words, schedule.words);
    const isSaid = schedule.is_preset || schedule.words === schedule.cron;
    setText(this.expression, isSaid ? "" : schedule.cron);
    setText(this.zone, schedule.timezone === shopZone() ? "" : schedule.timezone);
    setHidden(this.paused, !schedule.paused);
    setText(this.later, schedule.next_fires.length > 1 ? t("then {times}", { times: schedule.next_fires.slice(1).map(time).join(", ") }) : "");
    this.result.replaceChildren(...result(schedule.last_result));
    setText(this.usual, schedule.usual_seconds === null ? "" : t("usually {duration}", { duration: duration(schedule.usual_seconds) }));
    this.dots.replaceChildren(dots(schedule.last_ten));
    this.steering.show(schedule);
    this.tick();
  }

  /** What changes with time alone. */
  tick() {
    const next = this.schedule.next_fire;
    const never = this.schedule.paused || this.schedule.is_preset ? "" : t("never again");
    setText(this.next, next === null ? never : `${time(next)} · ${hasCome(next) ? t("now") : ago(next)}`);
    setAttribute(this.next, "title", next === null ? null : moment(next));
  }

  /** Whether a fire has come that the page has not heard about. */
  isDue() {
    return this.schedule.next_fire !== null && Date.parse(this.schedule.next_fire) + 500 < now();
  }
}

export const scheduleUrl = (name) => `/schedules/${encodeURIComponent(name)}`;

/** What came of a run, leading to it. */
export function result(summary) {
  if (!summary) return [element("span", { class: "quiet" }, t("not yet"))];
  return [element("span", { class: `dot tone-${summary.tone}` }), link(`/jobs/${summary.job_id}`, summary.text, { class: "result" })];
}

const hasCome = (iso) => Date.parse(iso) <= now();
