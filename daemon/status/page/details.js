// What a job's row shows when it is opened: facts, steps, plan, pushes, failed rows.

import { Latest } from "./api.js";
import { button, element } from "./dom.js";
import { jobType, moment, number, statusName } from "./format.js";

const SHOWN_FAILURES = 20;
const SHOWN_PUSHES = 20;
const SYNCS = new Set(["SYNC_PRODUCTS", "SYNC_CUSTOMERS"]);
// Figures of matching and syncing, as their tasks put them into the metadata.
const FIGURES = [
  "mapped", "excluded", "ambiguous", "unmatched", "conflicts", "common_keys", "retired", "repaired", "restored",
  "stock_changes", "price_changes", "zeroed", "large_price_changes", "price_changes_by_vat",
  "would_change", "tiers", "without_total", "metafields_not_read", "left_alone",
];
// JSON in the database does not keep the order of an object's members.
const COLUMNS = [
  "kind", "what", "of", "at", "sku", "key", "variant_id", "shopify_id", "shopify_name", "location_id", "barcode",
  "nhanh_id", "nhanh_code", "nhanh_name", "phone", "source", "tier", "old", "new", "result",
];
const OWN_PLACE = new Set([...FIGURES, "steps", "sample", "would_ask", "notices", "left_alone_examples"]);

export class Details {
  /** `jobs` finds other jobs of the page: `find(id)`, `jump(id)`; `act(work)` shows the error of what it carries out. */
  constructor(node, jobs, act) {
    this.node = node;
    this.jobs = jobs;
    this.act = act;
    this.pushes = element("div", { class: "failures" });
    this.failures = element("div", { class: "failures" });
    this.latestPushes = new Latest();
    this.latestFailures = new Latest();
  }

  /** Shows the job; what has to be fetched only if it may have changed since `before`. */
  show(job, before) {
    this.node.replaceChildren(this.#facts(job), ...this.#steps(job), ...plan(job), this.pushes, this.failures);
    if (!before || before.failed !== job.failed) this.#loadFailures(job);
    if (SYNCS.has(job.type) && (!before || before.status !== job.status)) this.#loadPushes(job);
  }

  #facts(job) {
    const facts = element("dl");
    const add = (name, value) => {
      if (value !== null && value !== undefined && value !== "") facts.append(element("dt", {}, name), element("dd", {}, value));
    };
    add("Id", job.id);
    add("Step of", job.parent_id && this.#link(job.parent_id));
    add("Worker", job.worker);
    add("Attempt", `${job.attempt} of ${job.max_attempts}`);
    add("Fire time", job.fire_time && moment(job.fire_time));
    add("Created", moment(job.created_at));
    add("Started", job.started_at && moment(job.started_at));
    add("Ended", job.completed_at && moment(job.completed_at));
    add("Parameters", json(job.params));
    add("Metadata", json(Object.fromEntries(Object.entries(job.metadata).filter(([name]) => !OWN_PLACE.has(name)))));
    add("Checkpoint", job.checkpoint === null ? null : json(job.checkpoint));
    return facts;
  }

  /** The steps of a chain, each with a way to its row. */
  #steps(job) {
    const steps = job.metadata.steps ?? [];
    if (steps.length === 0) return [];
    const items = steps.map((step) => {
      const known = step.job_id ? this.jobs.find(step.job_id) : null;
      const status = known?.status ?? step.status;
      return element(
        "li",
        {},
        element("span", { class: "strong" }, jobType(step.type)),
        " ",
        status ? element("span", { class: "status", "data-status": status }, statusName(status)) : element("span", { class: "quiet" }, "not begun"),
        known ? ` ${number(known.processed)} rows${known.failed ? `, ${number(known.failed)} failed` : ""} ` : " ",
        ...(known ? [button("Show", () => this.jobs.jump(step.job_id), { "aria-label": `Show the job ${jobType(step.type)}` })] : []),
      );
    });
    return [element("h3", {}, "Steps"), element("ol", { class: "steps" }, ...items)];
  }

  #link(id) {
    const known = this.jobs.find(id);
    return known ? button(`${jobType(known.type)}, ${moment(known.created_at)}`, () => this.jobs.jump(id)) : id;
  }

  async #loadPushes(job) {
    await this.act(async () => {
      const answer = await this.latestPushes.get(`/api/jobs/${job.id}/pushes?limit=${SHOWN_PUSHES}`);
      if (answer === null) return;
      const { pushes, next_cursor: more } = answer;
      if (pushes.length === 0) {
        this.pushes.replaceChildren();
        return;
      }
      const rows = pushes.map((push) => ({
        what: [push.kind.replaceAll("_", " "), push.name].filter(Boolean).join(" "),
        of: push.owner_id,
        at: push.location_id,
        old: push.old_value,
        new: push.new_value,
        result: push.detail ? `${push.result}: ${push.detail}` : push.result,
        reason: push.reason,
      }));
      const title = more ? `Pushes to Shopify: the first ${pushes.length}` : `Pushes to Shopify: ${pushes.length}`;
      this.pushes.replaceChildren(element("h3", {}, title), table(rows));
    });
  }

  async #loadFailures(job) {
    if (job.failed === 0) {
      this.latestFailures.forget();
      this.failures.replaceChildren();
      return;
    }
    await this.act(async () => {
      const answer = await this.latestFailures.get(`/api/jobs/${job.id}/failures?limit=${SHOWN_FAILURES}`);
      if (answer === null) return;
      const { failures } = answer;
      const items = failures.map((failure) =>
        element(
          "li",
          {},
          element("strong", {}, failure.source_id ?? "without an id"),
          `: ${failure.reason}`,
          ...(failure.resolved_at ? [element("span", { class: "quiet" }, " (being retried)")] : []),
          element("details", {}, element("summary", {}, "Row"), element("pre", {}, failure.payload)),
        ),
      );
      const shown = failures.length < job.failed ? `the first ${failures.length} of ${number(job.failed)}` : number(failures.length);
      this.failures.replaceChildren(element("h3", {}, `Failed rows: ${shown}`), element("ol", {}, ...items));
    });
  }
}

/** The result of matching and syncing: figures, and the sample of a dry run or of what waits for approval. */
function plan(job) {
  const said = FIGURES.flatMap((name) => {
    const value = job.metadata[name];
    const words = name.replaceAll("_", " ");
    if (typeof value === "number") return [`${number(value)} ${words}`];
    if (value && Object.keys(value).length) return [`${words}: ${Object.entries(value).map(([key, count]) => `${shown(count)} ${key.replaceAll("_", " ")}`).join(", ")}`];
    return [];
  });
  const sample = job.metadata.sample ?? [];
  const groups = Array.isArray(sample) ? [["", sample]] : Object.entries(sample);
  const title = job.params.dry_run ? "Dry run: what would be done" : "Plan";
  const parts = [];
  if (said.length) parts.push(element("p", {}, said.join(" · ")));
  for (const notice of job.metadata.notices ?? []) parts.push(element("p", { class: "ask" }, notice));
  const examples = Object.entries(job.metadata.left_alone_examples ?? {});
  if (examples.length) {
    const named = examples.map(([reason, names]) => `${reason.replaceAll("_", " ")}: ${names.join(", ")}`);
    parts.push(element("p", { class: "quiet" }, `Left alone, such as ${named.join("; ")}`));
  }
  if (job.metadata.would_ask) parts.push(element("p", { class: "ask" }, `It would ask first: ${job.metadata.would_ask}`));
  for (const [kind, rows] of groups) {
    if (rows.length) parts.push(...(kind ? [element("h4", {}, kind)] : []), table(rows));
  }
  return parts.length ? [element("h3", {}, title), ...parts] : [];
}

/** Objects as a table whose columns are all their members. */
function table(rows) {
  const place = (name) => (name === "reason" ? Infinity : COLUMNS.includes(name) ? COLUMNS.indexOf(name) : COLUMNS.length);
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))]
    .filter((name) => rows.some((row) => row[name] !== null))
    .sort((one, other) => place(one) - place(other));
  return element(
    "div",
    { class: "scroll", tabindex: "0" },
    element(
      "table",
      { class: "plain-table" },
      element("thead", {}, element("tr", {}, ...columns.map((name) => element("th", { scope: "col" }, name.replaceAll("_", " "))))),
      element("tbody", {}, ...rows.map((row) => element("tr", {}, ...columns.map((name) => element("td", {}, shown(row[name])))))),
    ),
  );
}

function shown(value) {
  if (value === null || value === undefined) return "–";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function json(value) {
  return Object.keys(value ?? {}).length ? JSON.stringify(value, null, 1).replaceAll(/\n */g, " ") : "";
}
