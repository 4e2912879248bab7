// What a new installation lacks: nothing has been pulled yet, or nothing is pushed with this configuration.

import { act, startJob } from "../actions.js";
import { getJson } from "../api.js";
import { element, prose, renew, setHidden, steeringButton } from "../dom.js";
import { firstSteps } from "../status.js";
import { t } from "../words.js";

export class FirstSteps {
  constructor(signal) {
    this.signal = signal;
    this.list = element("div", { class: "card needs" });
    this.node = element("section", { hidden: true }, element("h2", {}, t("First steps")), this.list);
  }

  show(conditions) {
    const steps = firstSteps(conditions);
    renew(this.list, steps, (step) => step.id, (step) => this.#step(step));
    setHidden(this.node, steps.length === 0);
  }

  #step(step) {
    const start = steeringButton(t("Start the pulls"), (pressed) => act(pressed, () => this.#pull(step.store)), { class: "main" });
    return element(
      "div",
      { class: "need" },
      element("div", {}, element("b", {}, prose(step.cause ? `${step.text}: ${step.cause}` : step.text)), element("p", {}, `${step.store} · `, prose(step.next_step))),
      element("div", { class: "actions" }, step.name === "nothing_pulled" ? start : null),
    );
  }

  /** Everything that this store has to pull, one job each. */
  async #pull(store) {
    const { types } = await getJson("/api/job-types", { signal: this.signal });
    const pulls = types.filter((one) => one.type.startsWith("PULL_") && one.stores.includes(store));
    const answers = await Promise.all(pulls.map(({ type }) => startJob("/api/jobs", { type, store, params: {} })));
    return answers.flatMap((answer, at) => [element("span", { class: "block" }, `${pulls[at].name} · `, ...answer)]);
  }
}
