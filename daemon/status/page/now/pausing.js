// Pause all writing to a store, and resume it. Answered beside the buttons; what is paused is among the conditions.

import { act } from "../actions.js";
import { post } from "../api.js";
import { element, renew, setHidden, setText, steeringButton } from "../dom.js";
import { instant } from "../jobs/shop-time.js";
import { refreshSoon } from "../status.js";
import { t, zoneName } from "../words.js";

export class Pausing {
  constructor() {
    this.store = element("select");
    this.storeLabel = element("label", {}, `${t("Store")} `, this.store);
    this.until = element("input", { type: "datetime-local" });
    this.reason = element("input", { maxlength: 300, autocomplete: "off" });
    this.zone = element("p", { class: "dim" });
    this.paused = element("div");
    this.node = element(
      "details",
      { class: "pausing steering" },
      element("summary", {}, t("Pause writing to Shopify")),
      this.paused,
      element(
        "form",
        { class: "card" },
        element(
          "div",
          { class: "fields" },
          this.storeLabel,
          element("label", {}, `${t("Until (optional)")} `, this.until),
          element("label", {}, `${t("Reason (optional)")} `, this.reason),
        ),
        this.zone,
        element("div", { class: "actions" }, steeringButton(t("Pause writing"), (pressed) => this.#pause(pressed))),
      ),
    );
    this.node.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  }

  /** The stores there are, and the conditions, which say which of them are paused. */
  show(conditions, stores) {
    const names = [...stores].sort();
    if (names.join() !== [...this.store.options].map((option) => option.value).join()) {
      const chosen = this.store.value;
      this.store.replaceChildren(...names.map((name) => element("option", { value: name }, name)));
      if (names.includes(chosen)) this.store.value = chosen;
    }
    setHidden(this.storeLabel, names.length < 2);
    setText(this.zone, t("Everything is still read and planned. Times are in {zone}.", { zone: zoneName() }));
    const paused = conditions.filter((one) => one.name === "store_paused").map(({ store, text }) => ({ store, text }));
    renew(this.paused, paused, (one) => one.store, (one) => this.#resumable(one));
  }

  #resumable({ store, text }) {
    const resume = steeringButton(t("Resume writing"), (pressed) => this.#resume(pressed, store), { "aria-label": `${t("Resume writing")}: ${store}` });
    return element("div", { class: "actions" }, element("span", {}, `${store}: ${text}`), resume);
  }

  #pause(pressed) {
    return act(pressed, async () => {
      const body = { until: instant(this.until.value), reason: this.reason.value.trim() || null };
      await post(`/api/stores/${encodeURIComponent(this.store.value)}/pause`, body);
      refreshSoon();
      return t("Nothing is written any more.");
    });
  }

  #resume(pressed, store) {
    return act(pressed, async () => {
      const answer = await resumeWriting(store);
      refreshSoon();
      return answer;
    });
  }
}

/** Lets a store be written to again; what to say then. */
export async function resumeWriting(store) {
  await post(`/api/stores/${encodeURIComponent(store)}/resume`);
  return t("Shopify is written to again.");
}
