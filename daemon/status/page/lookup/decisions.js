// What a person decides about a row of Shopify: which row of Nhanh.vn it is, that there is none, or to leave it to matching.

import { act } from "../actions.js";
import { post } from "../api.js";
import { button, element, steeringButton } from "../dom.js";
import { t } from "../words.js";

/** Decisions about variants. */
export const OF_VARIANTS = {
  set: (store, id, nhanhId, note) => post("/api/mappings", { store, mappings: [{ variant_id: id, nhanh_id: nhanhId }], note }),
  remove: (store, id) => post("/api/mappings/remove", { store, variant_ids: [id] }),
};

/** Decisions about customers. */
export const OF_CUSTOMERS = {
  set: (store, id, nhanhId, note) => post("/api/customer-mappings", { store, entries: [{ shopify_id: id, nhanh_id: nhanhId }], note }),
  remove: (store, id) => post("/api/customer-mappings/remove", { store, shopify_ids: [id] }),
};

/**
 * Buttons for candidates: `choices` are `{id, name}`. `done()` is called when something was decided; without it the answer
 * alone says so. `note()`: why, as it was typed. `withNone`: with a button that says that there is no counterpart.
 */
export function choiceButtons(kind, { store, id, choices, note = () => null, done = null, withNone = false }) {
  const decide = (nhanhId, said) => (pressed) =>
    act(pressed, async () => {
      await kind.set(store, id, nhanhId, note());
      await done?.();
      return said;
    });
  return element(
    "div",
    { class: "actions choices steering" },
    ...choices.map((choice) => button(t("It is {name}", { name: choice.name }), decide(choice.id, t("mapped to {name}", { name: choice.name })))),
    withNone ? button(t("Has no counterpart"), decide(null, t("noted: no counterpart"))) : "",
  );
}

/**
 * A form that finds others than the candidates: `label` says what may be typed, `find(text)` gives `{id, name}` of what may
 * be meant, `none` says that there is nothing; the rest as of `choiceButtons`.
 */
export function otherChoice(kind, { label, find, none, ...about }) {
  const field = element("input", { name: "other", autocomplete: "off", spellcheck: "false" });
  const found = element("div");
  const look = button(t("Find"), (pressed) =>
    act(pressed, async () => {
      found.replaceChildren();
      const text = field.value.trim();
      const choices = text === "" ? [] : await find(text);
      if (choices.length === 0) return none;
      found.append(choiceButtons(kind, { ...about, choices }));
      return null;
    }),
  );
  const form = element("form", { class: "filters" }, element("label", { class: "wide" }, label, field), element("div", { class: "actions" }, look));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    look.click();
  });
  return element("div", { class: "steering" }, form, found);
}

/** The button that takes a decision back. */
export function removeButton(kind, { store, id, done }) {
  return steeringButton(t("Take the decision back"), (pressed) =>
    act(pressed, async () => {
      await kind.remove(store, id);
      await done();
      return t("taken back: the next matching decides");
    }),
  );
}

/** A field for why, kept with the decision, in its label. */
export const noteField = () =>
  element("label", { class: "block steering" }, t("Why (kept with the decision)"), element("input", { name: "note", maxlength: "500", autocomplete: "off" }));
export const noteOf = (field) => field.querySelector("input").value.trim() || null;
