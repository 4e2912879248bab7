// Which view is shown follows from the address, and links between views need no new document.

import { Unauthorized, explanation } from "./api.js";
import { button, byId, element } from "./dom.js";
import { t } from "./words.js";

const open = { view: null, match: null, shown: null, abort: null };
let views = [];
let whenShown = () => {};

/** Shows the view of the present address, and follows it from now on; `onShown(view)` is called for each. */
export function startRouter(all, onShown) {
  views = all;
  whenShown = onShown;
  addEventListener("popstate", () => show());
  document.addEventListener("click", follow);
  return show();
}

/** Goes to the view of another address of the page. */
export function go(url) {
  history.pushState(null, "", url);
  scrollTo(0, 0);
  const shown = show();
  byId("view").focus({ preventScroll: true }); // where a screen reader goes on
  return shown;
}

/** A link to another view. */
export const link = (url, text, attributes = {}) => element("a", { href: url, ...attributes }, text);

/** The parameters of the address. */
export const query = () => new URLSearchParams(location.search);

/** Changes parameters of the address (null or "" removes one); the view stays as it is, and shows itself what follows. */
export function setQuery(params, { replace = false } = {}) {
  const changed = query();
  for (const [name, value] of Object.entries(params)) {
    if (value === null || value === undefined || value === "") changed.delete(name);
    else changed.set(name, value);
  }
  const text = changed.toString();
  const url = location.pathname + (text ? `?${text}` : "");
  if (url === location.pathname + location.search) return;
  if (replace) history.replaceState(null, "", url);
  else history.pushState(null, "", url);
}

/** The view that is shown; null where there is none. */
export const current = () => open.view;

/** Calls `name` of the view that is shown, where it has such a method. */
export const tell = (name, content) => open.shown?.[name]?.(content);

/** Shows the view of the address, anew. */
export async function show() {
  close();
  const path = location.pathname;
  const view = views.find((one) => one.path.test(path)) ?? null;
  open.view = view;
  const abort = (open.abort = new AbortController());
  const root = element("div", { class: `view view-${view?.name ?? "none"}` });
  byId("view").replaceChildren(root);
  whenShown(view);
  if (view === null) {
    root.append(element("h1", {}, t("There is no such page")), element("p", {}, link("/", t("To the first page"))));
    return;
  }
  try {
    const shown = await view.open(root, { match: path.match(view.path), query: query(), signal: abort.signal });
    if (abort.signal.aborted) shown?.close?.();
    else open.shown = shown ?? {};
  } catch (error) {
    if (!abort.signal.aborted && !(error instanceof Unauthorized)) root.replaceChildren(failure(error));
  }
}

/** Leaves the view that is shown. */
export function close() {
  open.abort?.abort();
  open.shown?.close?.();
  open.shown = null;
}

function failure(error) {
  if (error.name !== "TypeError" && error.name !== "TimeoutError" && error.status === undefined) console.error(error);
  return element("p", { class: "notice tone-bad", role: "alert" }, `${explanation(error)} `, button(t("Try again"), show));
}

function follow(event) {
  const anchor = event.target.closest?.("a[href]");
  const isPlain = event.button === 0 && !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
  if (!anchor || !isPlain || event.defaultPrevented || anchor.target || anchor.hasAttribute("download")) return;
  const url = new URL(anchor.href);
  if (url.origin !== location.origin || !views.some((view) => view.path.test(url.pathname))) return;
  event.preventDefault();
  go(url.pathname + url.search + url.hash);
}
