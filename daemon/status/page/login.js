// Asks for the token where the daemon wants one. It is kept until the tab is closed.

import { forgetToken, hasToken, keepToken } from "./api.js";
import { byId, element, setHidden, setText } from "./dom.js";
import { t } from "./words.js";

let asking = false;
let whenEntered = async () => {};

export const isAsking = () => asking;

/** Sets the form up; `onEntered()` is called with a new token at hand, which need not be the right one. */
export function startLogin(onEntered) {
  whenEntered = onEntered;
  const form = byId("login");
  form.append(
    element("h1", {}, t("Token")),
    element("p", {}, t("This endpoint is protected. Enter the token that [status] token names in the configuration. It is kept until this tab is closed.")),
    element(
      "p",
      { class: "actions" },
      element("input", { type: "text", name: "username", autocomplete: "username", value: "dongbo", hidden: true }),
      element("input", { id: "token", type: "password", autocomplete: "current-password", "aria-label": t("Token"), required: true }),
      element("button", { type: "submit", class: "main" }, t("Enter")),
    ),
    element("p", { id: "login-error", class: "tone-bad", role: "alert" }),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    keepToken(byId("token").value.trim());
    byId("token").value = "";
    asking = false;
    await whenEntered();
    setHidden(form, !asking);
    setHidden(byId("view"), asking);
  });
}

/** Shows the form in place of the view. */
export function askForToken(message) {
  if (asking) return;
  asking = true;
  setText(byId("login-error"), hasToken() ? message : "");
  forgetToken();
  setHidden(byId("login"), false);
  setHidden(byId("view"), true);
  byId("token").focus();
}
