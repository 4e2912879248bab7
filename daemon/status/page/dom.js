// Small aids for the DOM. Data becomes text nodes and attributes only, never markup.

const SVG = "http://www.w3.org/2000/svg";
const FOCUSABLE = "a[href], button, input, select, textarea, summary";

export const byId = (id) => document.getElementById(id);

/** An element with attributes (`class`, `role` …; null and false are left out) and children (nodes or texts; null is left out). */
export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same in a drawing. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** Sets a text only if it differs, so that selections and screen readers are left in peace. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setAttribute(node, name, value) {
  if (value === null || value === undefined) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

export function setHidden(node, hidden) {
  if (node.hidden !== hidden) node.hidden = hidden;
}

/** A sentence of the daemon's, in which commands and keys stand between backticks. */
export const prose = (text) => text.split("`").map((part, at) => (at % 2 ? element("code", {}, part) : part));

/** A button that can't be pressed twice at once. `action(button)` may be asynchronous. */
export function button(label, action, attributes = {}) {
  const made = element("button", { type: "button", ...attributes }, label);
  made.addEventListener("click", async () => {
    if (made.getAttribute("aria-disabled") === "true") return;
    // Not `disabled`: that would take the focus away from whoever has just pressed it.
    made.setAttribute("aria-disabled", "true");
    try {
      await action(made);
    } finally {
      made.removeAttribute("aria-disabled");
    }
  });
  return made;
}

/** A button for what changes something: whoever may only read is not offered it. */
export const steeringButton = (label, action, attributes = {}) =>
  button(label, action, { ...attributes, class: ["steering", attributes.class].filter(Boolean).join(" ") });

/**
 * Makes the children of an element those of the items, and leaves what has not changed as it is: selections, focus and
 * pointers stay where they are.
 *
 * `key(item)` names an item; `make(item)` makes its node, anew only where the item is not the same as before.
 */
export function renew(parent, items, key, make) {
  const before = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    const state = JSON.stringify(item);
    const old = before.get(name);
    before.delete(name);
    const node = old?.shown === state ? old : replacement(old, make(item));
    if (old === place && old) place = node;
    node.dataset.key = name;
    node.shown = state;
    if (node === place) place = place.nextElementSibling;
    else parent.insertBefore(node, place);
  }
  for (const gone of before.values()) gone.remove();
}

/** The new node; where the old one has the focus, what takes its place gets it. */
function replacement(old, made) {
  if (!old) return made;
  const focused = [...old.querySelectorAll(FOCUSABLE)].indexOf(document.activeElement);
  const next = old.nextElementSibling;
  const parent = old.parentElement;
  old.remove();
  parent.insertBefore(made, next);
  if (focused >= 0) made.querySelectorAll(FOCUSABLE)[focused]?.focus({ preventScroll: true });
  return made;
}
