// One campaign in the list: how it stands, what it does, when, and what a person can do. Updated in place.

import { element, setAttribute, setHidden, setText } from "../dom.js";
import { now } from "../now.js";
import { link } from "../router.js";
import { ago, moment, t, time } from "../words.js";
import { SaleSteering } from "./steering.js";
import { counted, discount, hasEnded, isOnSale, isWaiting, lateEnd, lateStart, progress, selection, stateName, stateTone } from "./words.js";

export const columns = () => [
  { key: "sale", label: t("Sale") },
  { key: "state", label: t("State") },
  { key: "discount", label: t("Discount") },
  { key: "starts", label: t("Starts") },
  { key: "ends", label: t("Ends") },
  { key: "progress", label: t("Progress") },
  { key: "actions", label: "" },
];

export class SaleRow {
  constructor(sale, onChange) {
    this.name = link("", sale.name, { class: "strong" });
    this.origin = element("small");
    this.notice = element("p");
    this.state = element("span");
    this.discount = element("span", { class: "block" });
    this.targets = element("small", { class: "clip" });
    this.starts = when();
    this.ends = when();
    this.bar = element("progress", { class: "bar", "aria-label": t("Progress") });
    this.progress = element("span", { class: "block" });
    this.drifted = element("small", { class: "tone-ask" });
    this.failed = element("small", { class: "tone-bad" });
    this.rest = element("small");
    this.steering = new SaleSteering(onChange);
    const contents = {
      sale: [this.name, this.origin, this.notice],
      state: [this.state],
      discount: [this.discount, this.targets],
      starts: Object.values(this.starts),
      ends: Object.values(this.ends),
      progress: [this.bar, this.progress, this.drifted, this.failed, this.rest],
      actions: [this.steering.node],
    };
    const cells = columns().map(({ key, label }) => element("td", { role: "cell", "data-label": label, class: `sale-${key}` }, element("div", {}, contents[key])));
    this.node = element("tr", { role: "row", "data-id": sale.id }, cells);
  }

  /** `url`: where its details are. */
  show(sale, url) {
    this.sale = sale;
    setAttribute(this.name, "href", url);
    const isCalledOff = sale.is_cancelled && !hasEnded(sale);
    setText(this.origin, [sale.store, ORIGINS[sale.origin]?.() ?? sale.origin, ...(isCalledOff ? [t("called off")] : [])].join(" · "));
    setText(this.notice, sale.notice ?? "");
    setAttribute(this.notice, "class", `tone-${{ NEEDS_ATTENTION: "ask", FAILED: "bad" }[sale.state] ?? "warn"}`);
    setHidden(this.notice, !sale.notice);
    setText(this.state, stateName(sale.state));
    setAttribute(this.state, "class", `chip tone-${stateTone(sale.state)}`);
    setText(this.discount, discount(sale.definition));
    setText(this.targets, meant(sale.definition));
    setAttribute(this.targets, "title", this.targets.textContent);
    this.#showProgress();
    this.steering.show(sale, url);
    this.tick();
  }

  tick() {
    const { sale } = this;
    const isOver = hasEnded(sale);
    const unbegun = sale.state === "DRAFT" ? t("when a person starts it") : "–";
    showWhen(this.starts, sale.starts_at, isWaiting(sale), unbegun, lateStart(sale));
    const unended = sale.ended_at ? t("{time}, by a person", { time: time(sale.ended_at) }) : isOver ? "–" : t("when a person ends it");
    showWhen(this.ends, sale.ends_at, isOnSale(sale), unended, lateEnd(sale));
    const isEarly = sale.ends_at && sale.ended_at && Date.parse(sale.ended_at) < Date.parse(sale.ends_at);
    if (isEarly) setText(this.ends.away, t("ended {time}", { time: time(sale.ended_at) }));
  }

  /** Whether a start or an end has come that the page has not heard about. */
  isDue() {
    const { sale } = this;
    const next = sale.state === "SCHEDULED" ? sale.starts_at : isOnSale(sale) ? sale.ends_at : null;
    return next !== null && Date.parse(next) + 500 < now();
  }

  #showProgress() {
    const counts = this.sale.counts ?? {};
    const { text, share, rest } = progress(this.sale);
    setHidden(this.bar, share === null);
    if (share !== null) setAttribute(this.bar, "value", share.toFixed(4));
    setText(this.progress, text);
    setText(this.drifted, counted(counts, ["DRIFTED"]));
    setText(this.failed, counted(counts, ["STUCK", "REFUSED"]));
    setText(this.rest, rest);
  }
}

const ORIGINS = { file: () => t("from the configuration"), api: () => t("from the page or the API"), cli: () => t("from the terminal") };

/** Which variants a campaign is for. */
export function meant({ targets, excludes }) {
  const excluded = selection(excludes);
  return excluded ? t("{targets}; except {excludes}", { targets: selection(targets), excludes: excluded }) : selection(targets);
}

/** A time in a cell: itself, how far off, and what is late. */
const when = () => ({ at: element("span", { class: "block" }), away: element("small"), late: element("small", { class: "tone-bad" }) });

function showWhen(nodes, planned, isAwaited, otherwise, late) {
  setText(nodes.at, planned ? time(planned) : otherwise);
  setAttribute(nodes.at, "title", planned ? moment(planned) : null);
  setText(nodes.away, planned && isAwaited && Date.parse(planned) > now() ? ago(planned) : "");
  setText(nodes.late, late);
}
