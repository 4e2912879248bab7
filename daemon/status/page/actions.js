// What a person does is answered where they do it.

import { explanation, post, Unauthorized } from "./api.js";
import { element } from "./dom.js";
import { link } from "./router.js";
import { t } from "./words.js";

/**
 * Carries out the work that a button stands for; its answer (a text or node; null for none) or its error appears beside
 * the button, below the others of the same group (`.actions`).
 */
export async function act(button, work) {
  const place = answerOf(button);
  place.className = "answer";
  place.replaceChildren();
  button.setAttribute("aria-busy", "true");
  try {
    const answer = await work();
    if (answer !== null && answer !== undefined) place.replaceChildren(...[answer].flat());
  } catch (error) {
    if (error instanceof Unauthorized) return; // the page asks for the token
    place.classList.add("tone-bad");
    place.replaceChildren(explanation(error));
  } finally {
    button.removeAttribute("aria-busy");
  }
}

/**
 * Asks for a job by POST: its answer is the way to it, as `act` shows it. A job for the same work that is live already is
 * as good.
 */
export async function startJob(path, body) {
  try {
    const job = await post(path, body);
    return [`${t("started:")} `, link(`/jobs/${job.id}`, t("view"))];
  } catch (error) {
    if (!error.problem?.job_id) throw error;
    return [`${explanation(error)} `, link(`/jobs/${error.problem.job_id}`, t("view"))];
  }
}

/** There from the first press on, so that a screen reader reads out what comes to stand in it. */
function answerOf(button) {
  const group = button.closest(".actions") ?? button.parentElement;
  const known = [...group.children].find((child) => child.classList.contains("answer"));
  return known ?? group.appendChild(element("span", { class: "answer", role: "status" }));
}
