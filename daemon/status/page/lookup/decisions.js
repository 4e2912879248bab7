// What a person decides about a row of Shopify: which row of Nhanh.vn it is, that there is none, or to leave it to matching.

import { act } from "../actions.js";
import { post } from "../api.js";
import { button, element } from "../dom.js";
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
 * alone says so. `note()`: why, as it was typed.
 */
export function choiceButtons(kind, { store, id, choices, note = () => null, done = null }) {
  const decide = (nhanhId, said) => (pressed) =>
    act(pressed, async () => {
      await kind.set(store, id, nhanhId, note());
      await done?.();
      return said;
    });
  return element(
    "div",
    { class: "actions choices" },
    ...choices.map((choice) => button(t("It is {name}", { name: choice.name }), decide(choice.id, t("mapped to {name}", { name: choice.name })))),
    button(t("Has no counterpart"), decide(null, t("noted: no counterpart"))),
  );
}

/** The button that takes a decision back. */
export function removeButton(kind, { store, id, done }) {
  return button(t("Take the decision back"), (pressed) =>
    act(pressed, async () => {
      await kind.remove(store, id);
      await done();
      return t("taken back: the next matching decides");
    }),
  );
}

/** A field for why, kept with the decision. */
export const noteField = () => element("input", { name: "note", maxlength: "500", autocomplete: "off" });
export const noteOf = (field) => field.value.trim() || null;
