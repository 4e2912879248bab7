// The first view: is the shop right? One sentence a store, what waits for a person, how fresh it all is, what runs.

import { element, renew, setHidden, setText } from "../dom.js";
import { Fleet } from "../now/fleet.js";
import { FirstSteps } from "../now/first-steps.js";
import { Freshness } from "../now/fresh.js";
import { Needs } from "../now/needs.js";
import { Pausing } from "../now/pausing.js";
import { Running } from "../now/running.js";
import { Webhooks } from "../now/webhooks.js";
import { link } from "../router.js";
import { status } from "../status.js";
import { t } from "../words.js";

export default {
  title: () => t("Now"),
  open: async (root, { signal }) => new NowView(root, signal),
};

class NowView {
  constructor(root, signal) {
    this.verdicts = element("div");
    this.checks = element("p", { class: "notice tone-bad", role: "alert", hidden: true });
    this.firstSteps = new FirstSteps(signal);
    this.needs = new Needs(signal);
    this.fresh = new Freshness(signal);
    this.running = new Running(signal);
    this.webhooks = new Webhooks();
    this.fleet = new Fleet();
    this.pausing = new Pausing();
    root.append(
      element("h1", { class: "hidden-text" }, t("Is the shop right?")),
      this.verdicts,
      this.checks,
      this.firstSteps.node,
      this.needs.node,
      this.needs.otherNode,
      element("p", { class: "all-questions" }, link("/approvals", t("All questions and decisions"))),
      this.fresh.node,
      this.running.node,
      this.webhooks.node,
      this.fleet.node,
      this.pausing.node,
    );
    this.close = this.running.follow();
    if (status()) this.onStatus(status());
  }

  onStatus({ verdicts, conditions, streams, webhooks, fleet, stores, checks }) {
    renew(this.verdicts, verdicts, (one) => one.store, verdictCard);
    this.#showChecks(checks.filter((check) => !check.ok));
    this.firstSteps.show(conditions);
    this.pausing.show(conditions, stores);
    // What can't be read now is read with the next status; that there is no connection is shown by the page.
    this.needs.show(conditions, stores).catch(() => {});
    this.fresh.show(streams, stores).catch(() => {});
    this.webhooks.show(webhooks, stores);
    this.fleet.show(fleet);
  }

  /** Parts of the daemon that can't do their work. */
  #showChecks(failing) {
    setHidden(this.checks, failing.length === 0);
    setText(this.checks, failing.map((check) => `${check.name}: ${check.detail}`).join(". "));
  }
}

function verdictCard({ tone, text, detail }) {
  return element("div", { class: `verdict tone-${tone}` }, element("h2", {}, text), element("p", {}, detail));
}
