// A form that starts any job, made from the descriptions of the types of jobs.

import { act } from "../actions.js";
import { getJson, post } from "../api.js";
import { button, element, setHidden, setText } from "../dom.js";
import { t, zoneName } from "../words.js";
import { fieldsOf, valuesOf } from "./fields.js";
import { started } from "./steering.js";

const TEST = "NOOP"; // of `dongbo doctor`
const MENTIONS = /\b[a-z]+(?:[_.][a-z]+)*\b/g; // names of fields in a sentence, such as params.filters.ids

export class JobForm {
  constructor(signal) {
    this.signal = signal;
    this.fields = [];
    this.type = element("select", { name: "type", required: true });
    this.store = element("select", { name: "store", required: true });
    this.about = element("p");
    this.lacking = element("p", { class: "tone-warn", hidden: true }, t("No store of the configuration has what this job needs."));
    this.params = element("div");
    this.submit = button(t("Start"), (pressed) => this.#start(pressed), { class: "main" });
    this.form = element(
      "form",
      { class: "card job-form", "aria-labelledby": "start" },
      element("div", { class: "fields" }, element("label", {}, `${t("Job")} `, this.type), element("label", {}, `${t("Store")} `, this.store)),
      this.about,
      this.lacking,
      this.params,
      element("div", { class: "actions" }, this.submit),
    );
    this.node = element("section", { class: "steering" }, element("h2", { id: "start" }, t("Start a job")), this.form);
    this.type.addEventListener("change", () => this.#choose());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit.click();
    });
  }

  /** Asks what there is to start, and offers `type` first where it is given. */
  async load(type) {
    const { types } = await getJson("/api/job-types", { signal: this.signal });
    this.types = new Map(types.filter((one) => one.type !== TEST).map((one) => [one.type, one]));
    this.type.replaceChildren(...[...this.types.values()].map((one) => element("option", { value: one.type }, one.name)));
    if (this.types.has(type)) this.type.value = type;
    this.#choose();
  }

  #choose() {
    const chosen = this.types.get(this.type.value);
    setText(this.about, chosen.description);
    this.store.replaceChildren(...chosen.stores.map((name) => element("option", { value: name }, name)));
    setHidden(this.lacking, chosen.stores.length > 0);
    setHidden(this.submit, chosen.stores.length === 0);
    this.fields = fieldsOf(chosen.params);
    const hasTimes = JSON.stringify(chosen.params).includes('"date-time"');
    this.params.replaceChildren(
      ...(hasTimes ? [element("p", { class: "hint" }, t("Times are in {zone}.", { zone: zoneName() }))] : []),
      ...grouped(this.fields),
    );
  }

  async #start(pressed) {
    const fields = this.fields.flatMap((field) => field.all());
    for (const field of fields) field.complain("");
    if (!this.form.reportValidity()) return;
    const body = { type: this.type.value, store: this.store.value, params: valuesOf(this.fields) };
    await act(pressed, async () => {
      try {
        return await started(() => post("/api/jobs", body));
      } catch (error) {
        const field = error.status === 422 ? mentioned(fields, error.message) : undefined;
        if (!field) throw error;
        field.complain(error.message);
        field.inputs()[0]?.focus();
        return t("Not started: see above.");
      }
    });
  }
}

/** Fields side by side; what holds several of them has a row of its own. */
function grouped(fields) {
  const plain = fields.filter((field) => field.all().length === 1);
  const groups = fields.filter((field) => field.all().length > 1);
  return [element("div", { class: "fields" }, plain.map((field) => field.node)), ...groups.map((field) => field.node)];
}

/** The field that a sentence of the daemon is about, such as "params.filters: The filter ids …": the innermost that it names. */
function mentioned(fields, sentence) {
  const paths = new Set(sentence.match(MENTIONS)?.map((path) => path.replace(/^params\./, "")));
  const isNamed = (field) => field.path.split(".").every((_, at, steps) => paths.has(steps.slice(0, at + 1).join(".")) || paths.has(steps[at]));
  const named = fields.filter(isNamed).sort((one, other) => other.path.split(".").length - one.path.split(".").length);
  return named.find((field) => field.inputs().length > 0) ?? named[0];
}
