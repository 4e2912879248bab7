// "Push now": a sync of just what is looked at, with its result beside the button.

import { act } from "../actions.js";
import { getJson, post } from "../api.js";
import { element, steeringButton } from "../dom.js";
import { link } from "../router.js";
import { t } from "../words.js";

const ENDED = new Set(["COMPLETED", "FAILED", "CANCELLED"]);
const LOOK = 400; // milliseconds between two looks at the job
const PATIENCE = 30_000; // milliseconds, after which the way to the job is answer enough

/**
 * The button, for a job of this type with these parameters. `done()` is called when it has ended; `signal` ends what it
 * waits for.
 */
export function pushNow({ store, type, params, signal, done }) {
  const push = async () => {
    const summary = await ended(await started({ store, type, params }), signal);
    await done();
    return answer(summary);
  };
  return element("div", { class: "actions" }, steeringButton(t("Push now"), (pressed) => act(pressed, push), { class: "main" }));
}

/** The id of the job that was asked for; one that is live already for the same is as good. */
async function started(body) {
  try {
    return (await post("/api/jobs", body)).id;
  } catch (error) {
    if (!error.problem?.job_id) throw error;
    return error.problem.job_id;
  }
}

/** What is said of a job that has ended, or that takes longer than anybody waits. */
async function ended(id, signal) {
  const until = Date.now() + PATIENCE;
  for (;;) {
    const { jobs, summaries } = await getJson(`/api/jobs?${new URLSearchParams({ ids: id, limit: 1 })}`, { signal });
    if (ENDED.has(jobs[0].status) || Date.now() > until) return { id, ...summaries[0] };
    await pause(signal);
  }
}

/** Ends early where nobody looks any more. */
const pause = (signal) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, LOOK);
    signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
  });

const answer = ({ id, tone, text }) => [element("span", { class: `tone-${tone}` }, text), " ", link(`/jobs/${id}`, t("view"))];
