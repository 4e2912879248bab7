// What the two sides tell by themselves: when the last webhook of each came, how many, and how many were not believed.

import { element, setHidden } from "../dom.js";
import { table } from "../table.js";
import { number, t, time } from "../words.js";

const SIDES = { nhanh: () => t("Nhanh.vn"), shopify: () => t("Shopify") };

export class Webhooks {
  constructor() {
    this.table = table({ caption: t("Webhooks of both sides"), columns: columns(), key: ({ store, source }) => `${store} ${source}`, className: "webhooks" });
    this.node = element("section", { hidden: true }, element("h2", {}, t("Webhooks")), this.table);
  }

  /** The streams of these stores, null while the database is away; rows of several stores say whose they are. */
  show(streams, stores) {
    const shown = (streams ?? []).filter((stream) => stores.includes(stream.store));
    setHidden(this.node, shown.length === 0);
    this.table.show(shown.map((stream) => ({ ...stream, of: stores.length > 1 ? stream.store : null })));
  }
}

const columns = () => [
  { key: "from", label: t("From"), cell: (stream) => [element("b", {}, SIDES[stream.source]()), stream.of ? element("small", {}, stream.of) : null] },
  { key: "last", label: t("Last one"), cell: last },
  { key: "received", label: t("Received"), cell: received },
  { key: "refused", label: t("Refused"), cell: (stream) => number(stream.refused) },
];

function last(stream) {
  if (!stream.last_event_at) return t("none yet");
  return [time(stream.last_event_at), element("small", {}, stream.last_topic)];
}

function received(stream) {
  const repeats = stream.repeated > 0 ? element("small", {}, t("{n} of them repeats", { n: number(stream.repeated) })) : null;
  return [number(stream.received), repeats];
}
