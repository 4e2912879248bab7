// Who asks: by a session that began with a token, or as a proxy says. The cookie of the session is for the browser alone.

import { getJson, post, send } from "./api.js";
import { button, byId, element, setAttribute, setHidden, setText } from "./dom.js";
import { t } from "./words.js";

let whenLoggedOut = () => {};

/** `onLoggedOut()` is called when somebody has logged out here. */
export function startSession(onLoggedOut) {
  whenLoggedOut = onLoggedOut;
  addEventListener("forbidden", readCaller); // the role is not what it was
}

/** Asks who asks, and shows it; without an answer what was known stays. */
export async function readCaller() {
  try {
    show(await getJson("/api/session"));
  } catch {
    // The page tells of a daemon that does not answer, and asks for the token, elsewhere.
  }
}

/** Nobody is logged in. */
export const forgetCaller = () => show(null);

/** Begins a session. Throws what the daemon says of the token. */
export async function logIn(token) {
  show(await post("/api/session", { token }));
}

async function logOut() {
  await send("DELETE", "/api/session");
  whenLoggedOut();
}

function show(caller) {
  const mayOnlyRead = caller?.role === "read";
  setAttribute(document.body, "data-role", caller?.role ?? null);
  setText(byId("may-read"), mayOnlyRead ? t("You may look at everything here and change nothing: your role is “read”.") : "");
  setHidden(byId("may-read"), !mayOnlyRead);
  byId("caller").replaceChildren(
    caller?.name ? element("span", { class: "name", title: caller.name }, caller.name) : "",
    caller?.known_by === "session" ? button(t("Log out"), logOut) : "",
  );
}
