// What people decided about an item or a customer, newest first.

import { element, setHidden } from "../dom.js";
import { moment, t } from "../words.js";

/** A section that shows decisions; it stays hidden where there are none. */
export class Deeds {
  constructor() {
    this.list = element("ul", { class: "deeds" });
    this.node = element("section", { hidden: true }, element("h2", {}, t("What people decided")), element("div", { class: "card" }, this.list));
  }

  show(actions) {
    this.list.replaceChildren(...actions.map(({ at, text, note }) => element("li", {}, text, note ? ` · ${note}` : "", element("small", {}, moment(at)))));
    setHidden(this.node, actions.length === 0);
  }
}
