// What waits for a person, with what they can do about it right there.

import { act, startJob } from "../actions.js";
import { getJson, post } from "../api.js";
import { element, prose, renew, setHidden, setText, steeringButton } from "../dom.js";
import { link } from "../router.js";
import { needs, notices, refreshSoon } from "../status.js";
import { number, t, time, tn } from "../words.js";
import { resumeWriting } from "./pausing.js";

export class Needs {
  constructor(signal) {
    this.signal = signal;
    this.approvals = new Map(); // the open questions, by id
    this.answered = new Map(); // what has just been dealt with, by id: its answer stays where it was given
    this.count = element("span", { class: "tone-warn" });
    this.list = element("div", { class: "card needs" });
    this.node = element("section", {}, element("h2", {}, `${t("Needs you")} `, this.count), this.list);
    this.others = element("div", { class: "card needs" });
    this.otherNode = element("section", {}, element("h2", {}, t("Good to know")), this.others);
  }

  /** Shows the conditions, those of a stream only where a person must do something: the table below has the others. */
  async show(conditions, stores) {
    const waiting = needs(conditions);
    if (waiting.some(asks)) await this.#readApprovals();
    const item = (condition) => ({ ...condition, approval: this.approvals.get(condition.approval_id), store: stores.length > 1 ? condition.store : null, of: condition.store });
    // What was answered stays as it is, also where this was looked up before the answer came; what begins anew is new.
    for (const { id, since } of waiting) if (this.answered.get(id)?.since !== since) this.answered.delete(id);
    const items = waiting.map((condition) => this.answered.get(condition.id) ?? item(condition));
    const present = new Set(items.map((one) => one.id));
    const kept = [...this.answered.values()].filter((one) => !present.has(one.id));
    renew(this.list, [...kept, ...items], (one) => one.id, (one) => this.#need(one));
    renew(this.others, notices(conditions).map(item), (one) => one.id, (one) => notice(one));
    setText(this.count, waiting.length ? number(waiting.length) : "");
    setHidden(this.node, this.list.childElementCount === 0);
    setHidden(this.otherNode, this.others.childElementCount === 0);
  }

  async #readApprovals() {
    const { approvals } = await getJson("/api/approvals?state=open&limit=500", { signal: this.signal });
    this.approvals = new Map(approvals.map((approval) => [approval.id, approval]));
  }

  #need(item) {
    const made = notice(item);
    const actions = this.#actions(item);
    if (actions.length) made.append(element("div", { class: "actions" }, actions));
    return made;
  }

  #actions(item) {
    if (asks(item)) return this.#decisions(item);
    if (item.sale) return [link(`/sales/${encodeURIComponent(item.sale)}?store=${encodeURIComponent(item.of)}`, t("Decide"), { class: "button main" })];
    if (item.name === "alert_undelivered") return [steeringButton(t("Send a test"), (pressed) => this.#settle(pressed, item, () => sendTest(item.id)))];
    if (item.name === "store_paused") return [steeringButton(t("Resume writing"), (pressed) => this.#settle(pressed, item, () => resumeWriting(item.of)))];
    if (!item.job_id) return [];
    if (item.name === "rows_failing") {
      return [
        link(`/jobs/${item.job_id}#failed-rows`, t("See the rows"), { class: "button" }),
        steeringButton(t("Try them again"), (pressed) => this.#settle(pressed, item, () => startJob(`/api/jobs/${item.job_id}/retry`, { failed: true }))),
      ];
    }
    return [
      link(`/jobs/${item.job_id}`, t("See the job"), { class: "button" }),
      steeringButton(t("Try again"), (pressed) => this.#settle(pressed, item, () => startJob(`/api/jobs/${item.job_id}/retry`, {}))),
    ];
  }

  #decisions(item) {
    const { approval } = item;
    const see = link(`/approvals/${item.approval_id}`, t("See the changes"), { class: "button" });
    if (!approval) return [see];
    const path = `/api/approvals/${approval.id}`;
    const shown = { asked_runs: approval.asked_runs }; // what other runs have asked since is not decided unseen
    const approve = steeringButton(t("Approve"), (pressed) => {
      if (!confirm(`${t("Approve?")}\n\n${approval.question}`)) return undefined;
      return this.#settle(pressed, item, async () => {
        const decided = await post(`${path}/approve`, shown);
        return [`${t("approved:")} `, link(`/jobs/${decided.decided_job_id ?? approval.job_id}`, t("view"))];
      });
    }, { class: "main" });
    const reject = steeringButton(t("Reject"), (pressed) =>
      this.#settle(pressed, item, async () => {
        await post(`${path}/reject`, shown);
        return t("rejected: nothing is changed");
      }),
    );
    return [see, approve, reject];
  }

  /** Carries out what settles an item; nothing more can be pressed in it, and its answer stays until the view is left. */
  #settle(pressed, item, work) {
    return act(pressed, async () => {
      const answer = await work();
      this.answered.set(item.id, item);
      for (const other of pressed.parentElement.querySelectorAll("button")) other.hidden = true;
      refreshSoon();
      return answer;
    });
  }
}

/** Sends a message by the channel that a condition is about; the condition is over if it goes out. */
async function sendTest(id) {
  const { tests: [test] } = await post("/api/alerts/test", { channel: id.slice(id.indexOf(":") + 1) });
  if (!test.went) throw new Error(test.answer);
  return t("sent");
}

const asks = (condition) => condition.approval_id !== null && condition.name === "approval_waiting";

/** What is wrong, why, since when, and what to do; of a question what is asked, how often, and what to look at first. */
function notice({ text, cause, severity, since, next_step: next, store, approval }) {
  const said = approval ? approval.question : [text, cause].filter(Boolean).join(": ");
  const about = [
    store,
    t("since {time}", { time: time(since, { seconds: false }) }),
    approval && tn("asked by {n} run", "asked by {n} runs", { n: approval.asked_runs }),
  ];
  const first = approval?.look_at[0];
  return element(
    "div",
    { class: "need" },
    element(
      "div",
      {},
      element("b", { class: severity === "bad" ? "tone-bad" : null }, prose(said)),
      element("p", {}, `${about.filter(Boolean).join(" · ")} · `, prose(next)),
      first ? element("p", {}, prose(first)) : null,
    ),
  );
}
