// One question: why it is asked, what to check first, what was configured otherwise, and all that waits for the answer.

import { act } from "../actions.js";
import { getJson, post } from "../api.js";
import { Changes } from "../approvals/changes.js";
import { askedAgain, at, counted, jobLink, outcome, TONES } from "../approvals/words.js";
import { button, element, setHidden, steeringButton } from "../dom.js";
import { link } from "../router.js";
import { table } from "../table.js";
import { ago, moment, t, time } from "../words.js";

const NOT_THERE = new Set([400, 404, 422]);
const SOON = 500; // milliseconds from a hint until the question is read again

export default {
  title: () => t("Approval"),

  async open(root, { match, signal }) {
    try {
      const view = new ApprovalView(root, await getJson(`/api/approvals/${match[1]}`, { signal }), signal);
      await view.changes.load(view.approval);
      return view;
    } catch (error) {
      if (!NOT_THERE.has(error.status)) throw error;
      root.append(element("h1", {}, t("There is no such question")), element("p", {}, link("/approvals", t("All approvals"))));
      return {};
    }
  },
};

class ApprovalView {
  constructor(root, approval, signal) {
    this.path = `/api/approvals/${approval.id}`;
    this.signal = signal;
    this.card = element("div");
    this.changes = new Changes(approval, signal);
    this.approve = steeringButton(t("Approve"), (pressed) => act(pressed, () => this.#decide("approve")), { class: "main" });
    this.reject = steeringButton(t("Reject"), (pressed) => act(pressed, () => this.#decide("reject")));
    this.actions = element("div", { class: "actions" }, this.approve, this.reject);
    this.renewed = element(
      "p",
      { class: "notice tone-ask", role: "status", hidden: true },
      t("A newer run has asked this anew: what stands here is from before."),
      " ",
      button(t("Show what it asks now"), () => this.#takeOver()),
    );
    this.reason = element("div");
    this.card.append(this.reason, this.renewed, this.actions);
    const back = element("p", {}, link("/approvals", t("All approvals"), { class: "back" }));
    root.append(back, element("h1", {}, `${approval.name} · ${approval.store}`), this.card, this.changes.node);
    this.#show(approval);
  }

  onJob(job) {
    if (job.type !== this.approval.type || job.store !== this.approval.store || this.soon) return;
    this.soon = setTimeout(() => {
      this.soon = null;
      this.#look().catch(() => {}); // the next hint comes; the connection is told of elsewhere
    }, SOON);
  }

  close() {
    clearTimeout(this.soon);
  }

  /** What is shown stays until somebody wants it anew, unless there is nothing left to decide. */
  async #look() {
    const fresh = await getJson(this.path, { signal: this.signal });
    if (fresh.state === "open" && fresh.asked_runs !== this.approval.asked_runs) setHidden(this.renewed, false);
    else if (fresh.state !== this.approval.state) this.#show(fresh);
  }

  async #takeOver() {
    const fresh = await getJson(this.path, { signal: this.signal });
    this.#show(fresh);
    await this.changes.load(fresh);
  }

  async #decide(decision) {
    try {
      const decided = await post(`${this.path}/${decision}`, { asked_runs: this.approval.asked_runs });
      this.#show(decided);
      return decision === "approve"
        ? [t("Approved:"), " ", jobLink(decided.decided_job_id, t("see the run"))]
        : t("Rejected: nothing of it is done.");
    } catch (error) {
      if (error.status === 409) await this.#look();
      throw error;
    }
  }

  #show(approval) {
    this.approval = approval;
    const tone = TONES[approval.state];
    const isOpen = approval.state === "open";
    this.card.className = `verdict tone-${tone}`;
    this.reason.replaceChildren(
      element("span", { class: `dot tone-${tone}` }, isOpen ? t("Waits for a person") : outcome(approval)),
      element("h2", {}, approval.question),
      ...origin(approval),
      ...lookAt(approval),
      ...settings(approval),
    );
    setHidden(this.renewed, true);
    // What stands beside the buttons, such as the answer to the decision, stays.
    setHidden(this.approve, !isOpen);
    setHidden(this.reject, !isOpen);
  }
}

function origin(approval) {
  const parts = [
    [t("since {time}", { time: time(approval.since) })],
    askedAgain(approval) ? [askedAgain(approval), ", ", t("last at {time}", { time: time(approval.last_asked_at) })] : null,
    approval.state === "open" ? [jobLink(approval.job_id, t("the job that waits"))] : [decided(approval)],
    [counted(approval.counts)],
  ].filter((part) => part !== null && part[0] !== "");
  return [element("p", { title: moment(approval.since) }, parts.flatMap((part, place) => (place ? [" · ", ...part] : part)))];
}

function decided({ ended_at: ended, decided_job_id: job }) {
  const when = at(ended, t("ended {time}", { time: ago(ended) }));
  return job ? element("span", {}, when, ", ", jobLink(job, t("see the run"))) : when;
}

function lookAt({ state, look_at: points }) {
  if (points.length === 0) return [];
  const title = state === "open" ? t("Check at Nhanh.vn first") : t("To be checked at Nhanh.vn was");
  return [element("h3", {}, title), element("ul", { class: "points" }, points.map((point) => element("li", {}, point)))];
}

function settings({ changed_settings: changed, settings_since: since }) {
  const title = element("h3", {}, t("Changed in the configuration"));
  if (since === null) return [title, element("p", {}, t("Not known: no sync has gone through yet since such changes are noted."))];
  const when = element("p", {}, t("since a sync went through last, {time}:", { time: ago(since) }));
  if (changed.length === 0) return [title, element("p", {}, t("Nothing, since a sync went through last, {time}.", { time: ago(since) }))];
  const columns = [
    { key: "key", label: t("Setting"), cell: ({ key }) => element("code", {}, key) },
    { key: "before", label: t("Before"), cell: ({ before }) => before ?? t("not set") },
    { key: "after", label: t("Now"), cell: ({ after }) => element("strong", {}, after ?? t("not set")) },
  ];
  return [title, when, table({ caption: t("Changed in the configuration"), columns, rows: changed, key: ({ key }) => key })];
}
