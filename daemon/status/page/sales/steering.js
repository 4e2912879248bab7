// What a person can do to a campaign as a whole. Answered beside the buttons.

import { act } from "../actions.js";
import { post } from "../api.js";
import { element, setAttribute, setHidden, steeringButton } from "../dom.js";
import { link } from "../router.js";
import { t } from "../words.js";
import { isOnSale, isWaiting } from "./words.js";

export class SaleSteering {
  /** `onChange()` is called after each change. */
  constructor(onChange) {
    this.onChange = onChange;
    this.decide = link("", t("Decide"), { class: "button main" });
    this.schedule = steeringButton(t("Schedule"), (pressed) => this.#post(pressed, "resume", t("It starts on time."), {}));
    this.start = steeringButton(t("Start now"), (pressed) => this.#ask(pressed, t("Start “{sale}” of {store} now?", this.#named()), "apply", t("It starts.")));
    this.end = steeringButton(t("End now"), (pressed) =>
      this.#ask(pressed, t("End “{sale}” of {store} now? All prices are restored.", this.#named()), "revert", t("It ends; its prices are being restored.")),
    );
    this.cancel = steeringButton(t("Cancel"), (pressed) => this.#ask(pressed, this.#cancelling(), "cancel", t("It is called off.")));
    this.node = element("div", { class: "actions" }, this.decide, this.schedule, this.start, this.end, this.cancel);
  }

  show(sale, url) {
    this.sale = sale;
    setAttribute(this.decide, "href", url);
    setHidden(this.decide, sale.state !== "NEEDS_ATTENTION");
    setHidden(this.schedule, sale.state !== "DRAFT" || !sale.starts_at);
    setHidden(this.start, !isWaiting(sale));
    setHidden(this.end, !isOnSale(sale));
    setHidden(this.cancel, !isWaiting(sale) && !isOnSale(sale));
  }

  #named() {
    return { sale: this.sale.name, store: this.sale.store };
  }

  #cancelling() {
    if (isOnSale(this.sale)) return t("Cancel “{sale}” of {store}? All prices are restored.", this.#named());
    return t("Cancel “{sale}” of {store}?", this.#named());
  }

  #ask(pressed, question, action, answer) {
    return confirm(question) ? this.#post(pressed, action, answer) : undefined;
  }

  #post(pressed, action, answer, body) {
    return act(pressed, async () => {
      await post(`/api/sales/${encodeURIComponent(this.sale.id)}/${action}`, body);
      await this.onChange();
      return answer;
    });
  }
}
