// How fresh each stream is: when it was complete, when it is expected, how it stands, and its last day.

import { getJson } from "../api.js";
import { element, setHidden } from "../dom.js";
import { link } from "../router.js";
import { strip } from "../strip.js";
import { table } from "../table.js";
import { number, t, time } from "../words.js";

const RANKS = ".oraf"; // of a quarter of an hour: nothing, fine, running, rows failed, failed
const EVERY = 60_000; // milliseconds between two looks at the strips

export class Freshness {
  constructor(signal) {
    this.signal = signal;
    this.strips = new Map(); // cells by store and type
    this.table = table({ caption: t("How fresh each stream is"), columns: columns(), key: keyOf, className: "fresh" });
    this.node = element("section", { hidden: true }, element("h2", {}, t("How fresh")), this.table);
  }

  /** The streams, null while the database is away; rows of several stores say whose they are. */
  async show(streams, stores) {
    setHidden(this.node, !streams?.length);
    if (!streams) return;
    this.streams = streams;
    this.stores = stores;
    this.#show();
    if (Date.now() - (this.readAt ?? 0) > EVERY) await this.#readStrips();
  }

  async #readStrips() {
    this.readAt = Date.now();
    const { strips } = await getJson("/api/strips?hours=24", { signal: this.signal });
    this.strips.clear();
    for (const one of strips) this.strips.set(keyOf(one), worst(this.strips.get(keyOf(one)), one.cells));
    this.#show();
  }

  #show() {
    const isOneOfSeveral = this.stores.length > 1;
    this.table.show(this.streams.map((stream) => ({ ...stream, cells: this.strips.get(keyOf(stream)) ?? null, of: isOneOfSeveral ? stream.store : null })));
  }
}

const keyOf = ({ store, type }) => `${store} ${type}`;

const columns = () => [
  { key: "what", label: t("What"), cell: (stream) => [element("b", {}, stream.name), stream.of ? element("small", {}, stream.of) : null] },
  { key: "complete", label: t("Complete to"), cell: (stream) => (stream.complete_to ? time(stream.complete_to) : t("not yet")), class: "nowrap" },
  { key: "expected", label: t("Expected"), cell: expected },
  { key: "state", label: t("State"), cell: state },
  { key: "day", label: t("Last 24 hours"), cell: (stream) => (stream.cells ? strip(stream.cells, inWords(stream.cells)) : null), class: "day" },
];

function expected(stream) {
  if (!stream.rhythm) return null;
  const by = stream.expected_by ? element("small", {}, t("by {time}", { time: time(stream.expected_by, { seconds: false }) })) : null;
  return [stream.rhythm, by];
}

function state(stream) {
  const text = stream.job_id ? link(`/jobs/${stream.job_id}`, stream.text, { class: "plain" }) : stream.text;
  return element("span", { class: `dot tone-${stream.tone}` }, text);
}

/** Two strips as one: of each quarter of an hour the worse. */
function worst(one, other) {
  if (!one) return other;
  return [...one].map((cell, at) => (RANKS.indexOf(cell) >= RANKS.indexOf(other[at]) ? cell : other[at])).join("");
}

function inWords(cells) {
  const count = (kind) => number([...cells].filter((cell) => cell === kind).length);
  return t("Quarters of an hour: {fine} fine, {rows} with failed rows, {failed} failed", { fine: count("o"), rows: count("a"), failed: count("f") });
}
