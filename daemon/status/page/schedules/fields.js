// Fields of a form, made from the JSON Schema of what may be said; each reads its value, and shows what is wrong with it.

import { element, setAttribute, setHidden, setText } from "../dom.js";
import { instant } from "../jobs/shop-time.js";
import { t } from "../words.js";

let made = 0; // ids are unique on the page

/** The fields of an object's properties. `of`: the path of the object, such as "filters". */
export const fieldsOf = (schema, of = "") => Object.entries(schema.properties ?? {}).map(([name, one]) => fieldOf(name, one, of ? `${of}.${name}` : name));

function fieldOf(name, schema, path) {
  const form = schema.anyOf ? { ...schema.anyOf[0] } : schema;
  const types = [form.type].flat();
  const about = { name, path, title: schema.title ?? name, hint: schema.description ?? "" };
  if (types.includes("object")) return new Group(about, fieldsOf(schema, path));
  if (types.includes("boolean")) return new Check(about, schema.default === true);
  if (types.includes("array")) return form.items.enum ? new Choices(about, form.items.enum) : new List(about, numberOf(form.items));
  if (types.includes("integer") || types.includes("number")) return new Entry(about, { type: "number", min: form.minimum, max: form.maximum, step: types.includes("integer") ? 1 : "any" }, Number);
  if (form.enum) return new Select(about, form.enum.filter((value) => value !== null));
  if (form.format === "date") return new Entry(about, { type: "date" });
  if (form.format === "date-time") return new Entry(about, { type: "datetime-local" }, instant);
  return new Entry(about, { type: "text", maxlength: form.maxLength, autocomplete: "off" });
}

const numberOf = (items) => (items.anyOf?.[0] ?? items).type === "integer";

/** What all fields have: a hint, and a place for what is wrong. */
class Field {
  constructor({ name, path, title, hint }) {
    this.name = name;
    this.path = path;
    this.title = title;
    this.id = `field-${(made += 1)}`;
    this.hint = element("p", { class: "hint", id: `${this.id}-hint` }, hint);
    this.mistake = element("p", { class: "mistake", id: `${this.id}-mistake`, hidden: true });
    this.described = { "aria-describedby": `${this.id}-hint ${this.id}-mistake` };
  }

  /** Says what is wrong, at the field; "" where nothing is. */
  complain(text) {
    setText(this.mistake, text);
    setHidden(this.mistake, text === "");
    for (const input of this.inputs()) setAttribute(input, "aria-invalid", text === "" ? null : "true");
  }

  inputs() {
    return [this.input];
  }

  /** This field and those within it. */
  all() {
    return [this];
  }
}

class Entry extends Field {
  constructor(about, attributes, read = (text) => text) {
    super(about);
    this.read = read;
    this.input = element("input", { ...attributes, ...this.described });
    this.node = element("div", {}, element("label", {}, `${this.title} `, this.input), this.hint, this.mistake);
  }

  value() {
    const text = this.input.value.trim();
    return text === "" ? undefined : this.read(text);
  }
}

class Check extends Field {
  constructor(about, isOn) {
    super(about);
    this.isOn = isOn; // unless somebody says otherwise
    this.input = element("input", { type: "checkbox", checked: isOn, ...this.described });
    this.node = element("div", {}, element("label", { class: "check" }, this.input, this.title), this.hint, this.mistake);
  }

  value() {
    return this.input.checked === this.isOn ? undefined : this.input.checked;
  }
}

class Select extends Field {
  constructor(about, values) {
    super(about);
    this.input = element("select", this.described, ["", ...values].map((value) => element("option", { value }, value)));
    this.node = element("div", {}, element("label", {}, `${this.title} `, this.input), this.hint, this.mistake);
  }

  value() {
    return this.input.value || undefined;
  }
}

class Choices extends Field {
  constructor(about, values) {
    super(about);
    this.boxes = values.map((value) => element("input", { type: "checkbox", value }));
    const labels = this.boxes.map((box, at) => element("label", {}, box, values[at]));
    this.node = element("fieldset", this.described, element("legend", {}, this.title), element("div", { class: "choices" }, labels), this.hint, this.mistake);
  }

  inputs() {
    return this.boxes;
  }

  value() {
    const chosen = this.boxes.filter((box) => box.checked).map((box) => box.value);
    return chosen.length > 0 ? chosen : undefined;
  }
}

/** Several values in one text, with commas between them. */
class List extends Entry {
  constructor(about, areNumbers) {
    super({ ...about, hint: `${about.hint} ${t("Several with commas between them.")}`.trim() }, { type: "text", inputmode: areNumbers ? "numeric" : null, autocomplete: "off" }, (text) => split(text, areNumbers));
  }
}

/** What is no number is sent as it was written, for the daemon to say so. */
const split = (text, areNumbers) => {
  const entries = text.split(",").map((entry) => entry.trim()).filter(Boolean);
  return areNumbers ? entries.map((entry) => (/^\d{1,15}$/.test(entry) ? Number(entry) : entry)) : entries;
};

class Group extends Field {
  constructor(about, fields) {
    super(about);
    this.fields = fields;
    this.node = element("fieldset", this.described, element("legend", {}, this.title), this.hint, this.mistake, element("div", { class: "fields" }, fields.map((field) => field.node)));
  }

  inputs() {
    return [];
  }

  all() {
    return [...this.fields.flatMap((field) => field.all()), this];
  }

  value() {
    const said = valuesOf(this.fields);
    return Object.keys(said).length > 0 ? said : undefined;
  }
}

/** What has been filled in, by name. */
export function valuesOf(fields) {
  const entries = fields.map((field) => [field.name, field.value()]).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries);
}
