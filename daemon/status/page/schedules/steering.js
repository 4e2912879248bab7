// What a person can do to a schedule: run it now, pause and resume it. Answered beside the buttons.

import { act } from "../actions.js";
import { post } from "../api.js";
import { element, setHidden, steeringButton } from "../dom.js";
import { link } from "../router.js";
import { t } from "../words.js";

export class Steering {
  /** `onChange()` is called after each change. */
  constructor(name, onChange) {
    const path = `/api/schedules/${encodeURIComponent(name)}`;
    const change = (pressed, action, answer) =>
      act(pressed, async () => {
        await post(`${path}/${action}`);
        onChange();
        return answer;
      });
    this.run = steeringButton(t("Run now"), (pressed) => act(pressed, () => started(() => post(`${path}/run`), onChange)));
    this.pause = steeringButton(t("Pause"), (pressed) => change(pressed, "pause", t("It does not fire until it is resumed, even after a restart.")));
    this.resume = steeringButton(t("Resume"), (pressed) => change(pressed, "resume", t("It fires again; what it missed is not made up.")));
    for (const one of [this.run, this.pause, this.resume]) one.setAttribute("aria-label", `${one.textContent}: ${name}`);
    this.node = element("div", { class: "actions" }, this.run, this.pause, this.resume);
  }

  show(schedule) {
    setHidden(this.pause, schedule.is_preset || schedule.paused);
    setHidden(this.resume, !schedule.paused);
  }
}

/** Asks for a job; the answer says where it is: a new one, or the live one that does the very same work. */
export async function started(ask, onStarted = () => {}) {
  try {
    const job = await ask();
    onStarted();
    return [`${t("started:")} `, link(`/jobs/${job.id}`, t("view"))];
  } catch (error) {
    if (!error.problem?.job_id) throw error;
    return [`${t("the same is running already:")} `, link(`/jobs/${error.problem.job_id}`, t("view"))];
  }
}
