// One schedule: what it does, how its runs went, what is next, and what came of each fire.

import { act } from "../actions.js";
import { getJson } from "../api.js";
import { button, element, setHidden, setText } from "../dom.js";
import { now } from "../now.js";
import { link } from "../router.js";
import { dots } from "../schedules/dots.js";
import { result } from "../schedules/row.js";
import { Steering } from "../schedules/steering.js";
import { table } from "../table.js";
import { ago, duration, moment, t, time } from "../words.js";

const PAGE = 50; // fires
const ACTIONS = 20;
const SOON = 1_000; // milliseconds
const OUTCOMES = {
  submitted: () => t("its job has been deleted since"),
  already_live: () => t("the same work was under way already"),
  skipped: () => t("skipped"),
  failed: () => t("no job was made"),
};

export default {
  title: () => t("Schedule"),

  async open(root, { match, signal }) {
    const view = new ScheduleView(root, decodeURIComponent(match[1]), signal);
    await view.load();
    return view;
  },
};

class ScheduleView {
  constructor(root, name, signal) {
    this.name = name;
    this.signal = signal;
    this.path = `/api/schedules/${encodeURIComponent(name)}`;
    this.fires = []; // those that are shown
    this.steering = new Steering(name, () => this.#refreshSoon());
    this.words = element("p", { class: "schedule-words" });
    this.last = element("p");
    this.facts = element("dl");
    this.history = table({ caption: t("Fires, newest first"), columns: columns(), key: (fire) => fire.fire_time });
    this.none = element("p", { class: "empty" });
    this.more = button(t("Older"), (pressed) => act(pressed, () => this.#older()), { hidden: true });
    this.actions = element("ol", { class: "steered" });
    this.actionsHead = element("h2", {}, t("What people did"));
    root.append(
      element("p", {}, link("/schedules", t("All schedules"))),
      element("div", { class: "head" }, element("h1", {}, name), this.steering.node),
      element("div", { class: "card" }, this.words, this.last, this.facts),
      element("h2", {}, t("History")),
      this.history,
      this.none,
      element("div", { class: "actions schedule-pages" }, this.more, link(`/jobs?schedule=${encodeURIComponent(name)}`, t("All its runs"), { class: "button" })),
      this.actionsHead,
      this.actions,
    );
  }

  async load() {
    const [schedule, history] = await Promise.all([
      getJson(this.path, { signal: this.signal }),
      getJson(`${this.path}/history?limit=${PAGE}`, { signal: this.signal }),
    ]);
    const asked = new URLSearchParams({ store: schedule.store, subject_kind: "schedule", subject: this.name, limit: ACTIONS });
    const { actions } = await getJson(`/api/actions?${asked}`, { signal: this.signal });
    this.#show(schedule);
    this.#showActions(actions);
    const known = new Set(history.fires.map((fire) => fire.fire_time));
    const isWhole = this.fires.length <= history.fires.length;
    this.fires = [...history.fires, ...this.fires.filter((fire) => !known.has(fire.fire_time) && fire.fire_time < (history.fires.at(-1)?.fire_time ?? ""))];
    this.#showFires(isWhole ? history.next_cursor : this.cursor);
  }

  onJob(job) {
    if (job.schedule === this.name && job.parent_id === null) this.#refreshSoon();
  }

  onTick() {
    this.#showNext();
    if (this.schedule.next_fire !== null && Date.parse(this.schedule.next_fire) + SOON < now()) this.#refreshSoon();
  }

  close() {
    clearTimeout(this.soon);
  }

  #show(schedule) {
    this.schedule = schedule;
    this.steering.show(schedule);
    setText(this.words, schedule.words);
    this.last.replaceChildren(`${t("Last result")}: `, ...result(schedule.last_result), " ", dots(schedule.last_ten));
    this.nextFact = element("span");
    const facts = [
      [t("Next"), this.nextFact],
      [t("Afterwards"), schedule.next_fires.slice(1).map(time).join(", ")],
      [t("Usually takes"), schedule.usual_seconds === null ? "" : duration(schedule.usual_seconds)],
      [t("Job"), `${schedule.type_name} · ${schedule.store}`],
      [t("Parameters"), Object.keys(schedule.params).length > 0 ? element("code", {}, JSON.stringify(schedule.params)) : ""],
      [t("Expression"), schedule.is_preset ? "" : element("code", {}, schedule.cron)],
      [t("Time zone"), schedule.is_preset ? "" : schedule.timezone],
      [t("Missed fires"), schedule.is_preset ? "" : schedule.misfire === "once" ? t("are made up once") : t("are skipped")],
    ];
    this.facts.replaceChildren(...facts.filter(([, value]) => value !== "").flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
    this.#showNext();
  }

  #showNext() {
    const { next_fire: next, paused, is_preset: isPreset } = this.schedule;
    const never = isPreset ? t("when a person starts it") : paused ? t("paused: it does not fire until it is resumed") : t("never again");
    setText(this.nextFact, next === null ? never : Date.parse(next) <= now() ? t("now") : `${time(next)} · ${ago(next)}`);
  }

  #showFires(cursor) {
    this.cursor = cursor;
    this.history.show(this.fires);
    setHidden(this.history, this.fires.length === 0);
    setText(this.none, this.schedule.is_preset ? t("A preset has no fires: its runs are in the list of jobs.") : t("It has not fired yet."));
    setHidden(this.none, this.fires.length > 0);
    setHidden(this.more, cursor === null);
  }

  async #older() {
    const page = await getJson(`${this.path}/history?${new URLSearchParams({ limit: PAGE, cursor: this.cursor })}`, { signal: this.signal });
    this.fires.push(...page.fires);
    this.#showFires(page.next_cursor);
    return null;
  }

  #showActions(actions) {
    this.actions.replaceChildren(...actions.map((one) => element("li", {}, element("time", { datetime: one.at, title: moment(one.at) }, time(one.at)), ` ${one.text}`)));
    setHidden(this.actions, actions.length === 0);
    setHidden(this.actionsHead, actions.length === 0);
  }

  #refreshSoon() {
    this.soon ??= setTimeout(async () => {
      this.soon = null;
      await this.load().catch(() => {}); // the frame tells of a daemon that is away
    }, SOON);
  }
}

const columns = () => [
  { key: "planned", label: t("Planned"), cell: (fire) => element("span", { title: moment(fire.fire_time), class: "nowrap" }, time(fire.fire_time)) },
  { key: "late", label: t("Fired"), cell: (fire) => lateness(fire) },
  { key: "result", label: t("Result"), cell: (fire) => outcome(fire) },
];

/** How long after its time a fire came. */
function lateness(fire) {
  const seconds = (Date.parse(fire.fired_at) - Date.parse(fire.fire_time)) / 1000;
  return seconds < 5 ? t("on time") : t("{duration} late", { duration: duration(seconds) });
}

function outcome(fire) {
  const said = fire.summary ? result(fire.summary) : [OUTCOMES[fire.outcome]?.() ?? fire.outcome];
  const isShared = fire.summary && fire.outcome === "already_live";
  const more = [isShared ? OUTCOMES.already_live() : null, fire.detail].filter(Boolean).join(" · ");
  return element("div", {}, said, more ? element("small", {}, more) : null);
}
