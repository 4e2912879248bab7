// One job: its sentence and what to do, what happened to it, how fast it was, its rows and its log; live while it runs.

import { act } from "../actions.js";
import { explanation, getJson, post } from "../api.js";
import { element, renew, setAttribute, setHidden, setText, steeringButton } from "../dom.js";
import { PaceChart } from "../jobs/chart.js";
import { failuresOf, pushesOf } from "../jobs/job-rows.js";
import { JobLog } from "../jobs/log.js";
import { planOf } from "../jobs/plan.js";
import { Progress } from "../jobs/progress.js";
import { dot, stepItem } from "../jobs/row.js";
import { eventItem, eventsOf } from "../jobs/timeline.js";
import { OUTCOMES, TRIGGERS, word } from "../jobs/words.js";
import { connection } from "../live.js";
import { now } from "../now.js";
import { link } from "../router.js";
import { duration, moment, t } from "../words.js";

const REREAD = 1_000; // milliseconds from a hint until the story is read again, at the soonest
const PUSHING = new Set(["SYNC_PRODUCTS", "SYNC_CUSTOMERS", "SYNC_CHANGED_PRODUCTS", "SYNC_CHANGED_CUSTOMERS", "APPLY_SALE", "REVERT_SALE"]);
const LIVE = new Set(["PENDING", "RUNNING"]);
const ENDED = new Set(["COMPLETED", "FAILED", "CANCELLED"]);
const NOT_THERE = new Set([400, 404, 422]); // what a malformed or unknown id is answered with

export default {
  title: () => t("Job"),

  async open(root, { match, signal }) {
    const id = decodeURIComponent(match[1]);
    try {
      const story = await getJson(`/api/jobs/${encodeURIComponent(id)}/story`, { signal });
      return new JobView(root, story, signal);
    } catch (error) {
      if (!NOT_THERE.has(error.status)) throw error;
      root.append(...unknown(id));
      return {};
    }
  },
};

function unknown(id) {
  const search = link(`/jobs?${new URLSearchParams({ search: id })}`, t("Look for it among the jobs"));
  return [
    element("h1", {}, t("There is no such job")),
    element("p", {}, t("No job {id} is known. Jobs that ended long ago are deleted.", { id })),
    element("p", {}, search),
  ];
}

class JobView {
  constructor(root, story, signal) {
    this.signal = signal;
    this.id = story.job.id;
    this.#build(root, story);
    this.#show(story);
    this.unsubscribe = connection.subscribe({
      onJob: (job) => this.#hear(job),
      onSnapshot: () => this.#rereadSoon(),
      onPruned: () => this.#rereadSoon(),
    });
    this.#loadRows(story.job).then(scrollToFragment);
  }

  #build(root, { job, summary, schedule, parent }) {
    const path = `/api/jobs/${job.id}`;
    this.state = element("span");
    this.sentence = element("h2");
    this.next = element("p", { class: "next-step" });
    this.progress = new Progress({ besideSentence: true });
    this.began = element("span");
    this.took = element("span");
    const asked = schedule ? link(`/schedules/${encodeURIComponent(schedule)}`, schedule) : word(TRIGGERS, job.trigger);
    const step = parent ? [link(`/jobs/${parent.id}`, t("Step of {job}", { job: parent.name })), " · "] : [];
    const dry = job.params.dry_run ? [" · ", t("dry run")] : [];
    const origin = element("p", { class: "quiet job-origin" }, job.store, " · ", ...step, asked, " · ", this.began, this.took, ...dry);
    this.links = element("p", { class: "run-links" });
    this.cancel = steeringButton(t("Cancel"), (pressed) => this.#cancel(pressed, path));
    this.retry = steeringButton(t("Retry"), (pressed) => act(pressed, () => started(post(`${path}/retry`, {}), job)));
    this.again = steeringButton(t("Run again with the same parameters"), (pressed) => act(pressed, () => started(post(`${path}/again`, {}), job)));
    this.retryRows = steeringButton(t("Retry the failed rows"), (pressed) => act(pressed, () => started(post(`${path}/retry`, { failed: true }), job)));
    this.card = element(
      "div",
      {},
      this.state,
      this.sentence,
      this.next,
      this.progress.node,
      this.links,
      element("div", { class: "actions" }, this.cancel, this.retry, this.again),
    );
    this.steps = element("ol", { class: "run-steps" });
    this.stepSection = element("section", { hidden: true }, element("h2", {}, t("Steps")), element("div", { class: "card" }, this.steps));
    this.events = element("ol", { class: "events" });
    this.chart = new PaceChart();
    this.plan = element("div");
    this.pushes = pushesOf(job, this.signal);
    this.failures = failuresOf(job, this.signal, [this.retryRows]);
    this.log = new JobLog(job, this.signal);
    this.raw = element("pre", { tabindex: "0" });
    root.append(
      element("h1", {}, summary.name),
      origin,
      this.card,
      this.stepSection,
      element("section", {}, element("h2", {}, t("What happened")), element("div", { class: "card" }, this.events)),
      this.chart.node,
      this.failures.node,
      this.plan,
      this.pushes.node,
      this.log.node,
      element("section", { class: "card fold" }, element("details", {}, element("summary", {}, t("All that is known, as JSON")), this.raw)),
    );
  }

  #show(story) {
    const { job, summary } = story;
    this.story = story;
    setAttribute(this.card, "class", `verdict tone-${summary.tone}`);
    const state = job.status === "RUNNING" && job.cancel_requested ? t("Being cancelled") : word(OUTCOMES, summary.outcome);
    this.state.replaceChildren(dot(), state);
    setAttribute(this.state, "class", `tone-${summary.tone}`);
    setText(this.next, summary.next_step ?? "");
    setHidden(this.next, !summary.next_step);
    setText(this.sentence, summary.text);
    this.#showLinks(story);
    this.#showActions(job, summary);
    setHidden(this.stepSection, summary.steps.length === 0);
    renew(this.steps, summary.steps, (step) => step.type, stepItem);
    renew(this.events, eventsOf(story), (event) => event.key, eventItem);
    this.plan.replaceChildren(...[planOf(job)].filter(Boolean));
    // Of a chain a row is a step, which says nothing of its speed. The words beneath the chart say the same.
    this.chart.show(summary.steps.length ? [] : story.pace, job.started_at).catch(() => {});
    setText(this.raw, JSON.stringify(job, null, 2));
    this.#showJob(job);
  }

  #showJob(job) {
    this.job = job;
    this.progress.show(job);
    this.onTick();
  }

  #showLinks({ job, summary, approval_id: approval }) {
    const links = [];
    if (approval !== null && job.status === "AWAITING_APPROVAL") links.push(link(`/approvals/${approval}`, t("See what it asks, and decide")));
    if (summary.repaired_by) links.push(link(`/jobs/${summary.repaired_by}`, t("See the run that repaired it")));
    setHidden(this.links, links.length === 0);
    this.links.replaceChildren(...links);
  }

  #showActions(job, summary) {
    setHidden(this.cancel, !(LIVE.has(job.status) || job.status === "AWAITING_APPROVAL") || job.cancel_requested);
    setHidden(this.retry, job.status !== "FAILED" && job.status !== "CANCELLED");
    setHidden(this.again, !ENDED.has(job.status));
    setHidden(this.retryRows, !summary.can_retry_rows);
  }

  /** What passes with time alone. */
  onTick() {
    const { job } = this;
    const began = job.started_at ?? job.created_at;
    const end = job.completed_at ?? (job.status === "RUNNING" ? null : job.updated_at);
    setText(this.began, moment(began));
    setText(this.took, job.started_at ? ` · ${duration(((end === null ? now() : Date.parse(end)) - Date.parse(began)) / 1000)}` : "");
  }

  close() {
    clearTimeout(this.soon);
    this.chart.close();
    this.unsubscribe();
  }

  /** What it needs besides its story; these tell of their errors themselves. */
  #loadRows(job) {
    return Promise.all([PUSHING.has(job.type) ? this.pushes.load() : null, hasRows(this.story) ? this.failures.load() : null]);
  }

  #hear(job) {
    if (job.id === this.id && job.version > this.job.version) this.#showJob(job);
    if (job.id === this.id || job.parent_id === this.id || (job.completed_at && this.story.summary.unresolved_rows > 0)) this.#rereadSoon();
  }

  #rereadSoon() {
    this.soon ??= setTimeout(async () => {
      this.soon = null;
      try {
        await this.#reread();
      } catch (error) {
        // Of a lost connection the page tells, and a snapshot follows it.
        if (error.status === 404) this.#showGone();
      }
    }, REREAD);
  }

  async #reread() {
    const before = this.story;
    const story = await getJson(`/api/jobs/${this.id}/story`, { signal: this.signal });
    if (story.job.version < this.job.version) this.#rereadSoon();
    this.#show(story);
    const { job, summary } = story;
    if (job.failed !== before.job.failed || summary.unresolved_rows !== before.summary.unresolved_rows) {
      if (hasRows(story)) this.failures.load();
    }
    if (PUSHING.has(job.type) && job.status !== before.job.status) this.pushes.load();
    this.log.refresh();
  }

  #showGone() {
    setText(this.next, t("It is no longer kept: jobs that ended long ago are deleted."));
    setHidden(this.next, false);
  }

  #cancel(pressed, path) {
    if (!confirm(t("Cancel “{job}” of {store}? What it has stored is kept.", { job: this.story.summary.name, store: this.job.store }))) return undefined;
    return act(pressed, async () => {
      const job = await post(`${path}/cancel`);
      return ENDED.has(job.status) ? t("Cancelled.") : t("It stops at its next checkpoint.");
    });
  }
}

/** Whether it has failed rows of its own: those of a chain are its steps'. */
const hasRows = ({ job, summary }) => job.failed > 0 && summary.steps.length === 0;

/** To what the address names within the view, once it is there. */
function scrollToFragment() {
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

/** The answer to what starts a job: the way to it. A job for the same work that is live already is as good. */
async function started(request, origin) {
  try {
    const job = await request;
    return job.id === origin.id ? t("It runs again.") : [t("Started:"), " ", link(`/jobs/${job.id}`, t("View"))];
  } catch (error) {
    const live = error.problem?.job_id;
    if (!live) throw error;
    return [explanation(error), " ", link(`/jobs/${live}`, t("View"))];
  }
}
