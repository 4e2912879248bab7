// One run in the list: how it stands, what it was, its result in a sentence, when and how long. Updated in place.

import { element, setAttribute, setHidden, setText } from "../dom.js";
import { now } from "../now.js";
import { link } from "../router.js";
import { duration, moment, t, time, tn } from "../words.js";
import { Progress } from "./progress.js";
import { OUTCOMES, TRIGGERS, word } from "./words.js";

const NEEDS_WORDS = new Set(["warn", "bad", "ask"]); // tones whose next step is shown

export class RunRow {
  constructor(job, summary) {
    this.state = element("span");
    this.name = element("span", { class: "run-name" });
    this.origin = element("span", { class: "quiet" });
    this.text = element("p", { class: "run-text" });
    this.next = element("p", { class: "quiet" });
    this.more = element("p", { class: "run-links" });
    this.progress = new Progress({ besideSentence: true });
    this.stepCount = element("summary", {});
    this.stepList = element("ol", { class: "run-steps" });
    this.steps = element("details", {}, this.stepCount, this.stepList);
    this.when = element("span", { class: "run-time" });
    this.took = element("span", { class: "quiet" });
    this.node = element(
      "li",
      { class: "run", "data-id": job.id },
      element("div", { class: "run-head" }, this.name, this.origin),
      element("div", { class: "run-state" }, this.state),
      element("div", { class: "run-result" }, this.text, this.progress.node, this.next, this.more, this.steps),
      element("div", { class: "run-when" }, this.when, this.took),
    );
    this.show(job, summary);
  }

  /** A newer state of the job, with its words. */
  show(job, summary) {
    this.summary = summary;
    this.state.replaceChildren(dot(), job.status === "RUNNING" && job.cancel_requested ? t("Being cancelled") : word(OUTCOMES, summary.outcome));
    setAttribute(this.state, "class", `tone-${summary.tone}`);
    if (this.name.textContent !== summary.name) this.name.replaceChildren(link(`/jobs/${job.id}`, summary.name));
    setText(this.text, summary.text);
    setText(this.next, NEEDS_WORDS.has(summary.tone) ? (summary.next_step ?? "") : "");
    setHidden(this.next, this.next.textContent === "");
    this.#showLinks(job, summary);
    this.#showSteps(summary.steps);
    this.showJob(job);
  }

  /** A newer state of the job whose words follow. */
  showJob(job) {
    this.job = job;
    this.#showOrigin(job);
    this.progress.show(job);
    this.tick();
  }

  /** What passes with time alone. */
  tick() {
    const { job } = this;
    const began = job.started_at ?? job.created_at;
    setText(this.when, time(began));
    setAttribute(this.when, "title", moment(began));
    const end = job.completed_at ?? (job.status === "RUNNING" ? null : job.updated_at);
    const seconds = ((end === null ? now() : Date.parse(end)) - Date.parse(began)) / 1000;
    setText(this.took, job.started_at ? duration(Math.max(0, seconds)) : "");
  }

  /** The job was deleted from the daemon's history. */
  showGone() {
    this.node.classList.add("gone");
    setText(this.next, t("It is no longer kept."));
    setHidden(this.next, false);
  }

  #showOrigin(job) {
    const parts = [job.store, job.schedule ?? word(TRIGGERS, job.trigger)];
    if (job.params.dry_run) parts.push(t("dry run"));
    const seen = `${parts.join(" · ")} ${job.parent_id}`;
    if (seen === this.seen) return;
    this.seen = seen;
    this.origin.replaceChildren(parts.join(" · "));
    if (job.parent_id) this.origin.append(" · ", link(`/jobs/${job.parent_id}`, t("step of a chain")));
  }

  #showLinks(job, summary) {
    const links = [];
    if (summary.unresolved_rows > 0) {
      const label = tn("See the failed row", "See the {n} failed rows", { n: summary.unresolved_rows });
      const of = summary.steps.find((step) => step.unresolved_rows > 0)?.job_id ?? job.id; // of a chain they are a step's
      links.push(link(`/jobs/${of}#failed-rows`, label));
    }
    if (summary.repaired_by) links.push(link(`/jobs/${summary.repaired_by}`, t("See the run that repaired it")));
    if (job.status === "AWAITING_APPROVAL") links.push(link(`/jobs/${job.id}`, t("See what it asks")));
    const seen = links.map((each) => each.href + each.textContent).join();
    if (seen === this.seenLinks) return; // a link that has the focus keeps it
    this.seenLinks = seen;
    this.more.replaceChildren(...links);
    setHidden(this.more, links.length === 0);
  }

  #showSteps(steps) {
    setHidden(this.steps, steps.length === 0);
    const seen = JSON.stringify(steps);
    if (seen === this.seenSteps) return;
    this.seenSteps = seen;
    setText(this.stepCount, tn("{n} step", "{n} steps", { n: steps.length }));
    this.stepList.replaceChildren(...steps.map(stepItem));
  }
}

/** One step of a chain, as the list and the view of one job show it. */
export function stepItem(step) {
  const name = step.job_id ? link(`/jobs/${step.job_id}`, step.name) : element("span", {}, step.name);
  return element("li", {}, element("span", { class: `tone-${step.tone}` }, dot()), name, element("span", {}, step.text || (step.status ? "" : t("not begun"))));
}

export const dot = () => element("span", { class: "dot", "aria-hidden": "true" });
