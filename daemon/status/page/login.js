// Asks for the token where the daemon wants one, and gives it away at once for a session.

import { explanation } from "./api.js";
import { byId, element, setHidden, setText } from "./dom.js";
import { logIn } from "./session.js";
import { t } from "./words.js";

let asking = false;

export const isAsking = () => asking;

/** Sets the form up; `onEntered()` is called once somebody has logged in. */
export function startLogin(onEntered) {
  const field = element("input", { id: "token", type: "password", autocomplete: "current-password", required: true });
  const form = element(
    "form",
    { class: "card login" },
    element("h1", {}, t("Log in")),
    element("p", {}, t("Enter the token that the configuration has for you. The browser keeps a cookie in its place, until you log out or have not been here for three days.")),
    element(
      "p",
      { class: "actions" },
      element("input", { type: "text", name: "username", autocomplete: "username", value: "dongbo", hidden: true }),
      element("label", {}, t("Token"), field),
      element("button", { type: "submit", class: "main" }, t("Log in")),
    ),
    element("p", { id: "login-error", class: "tone-bad", role: "alert" }),
  );
  byId("login").append(form);
  let entering = null;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    entering ??= enter(field, onEntered).finally(() => (entering = null));
  });
}

/** Shows the form in place of the view, and why where there is something to say. */
export function askForToken(message) {
  if (asking) return;
  asking = true;
  setText(byId("login-error"), message);
  show();
  byId("token").focus();
}

async function enter(field, onEntered) {
  const token = field.value.trim();
  try {
    await logIn(token);
  } catch (error) {
    setText(byId("login-error"), explanation(error));
    return field.focus();
  }
  field.value = "";
  setText(byId("login-error"), "");
  asking = false;
  await onEntered();
  return show();
}

function show() {
  setHidden(byId("login"), !asking);
  setHidden(byId("view"), asking);
}
