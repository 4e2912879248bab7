// Which view is shown follows from the address, and links between views need no new document.

import { Unauthorized, explanation } from "./api.js";
import { button, byId, element } from "./dom.js";
import { t } from "./words.js";

const open = { view: null, module: null, shown: null, abort: null };
let views = [];
let whenShown = () => {};

/**
 * Follows the address from now on. `onShown()` is called when another view is shown, and once more when its script has
 * come; that of the present address is fetched at once.
 */
export function startRouter(all, onShown) {
  views = all;
  whenShown = onShown;
  viewAt(location.pathname)?.load().catch(() => {}); // `show` tells of that
  addEventListener("popstate", () => show());
  document.addEventListener("click", follow);
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

/** The name of the view that is shown; null where there is none. */
export const current = () => open.view?.name ?? null;

/** What that view calls itself; "" before its script has come. */
export const title = () => open.module?.title() ?? "";

/** Calls `name` of the view that is shown, where it has such a method. */
export const tell = (name, content) => open.shown?.[name]?.(content);

/** Shows the view of the address, anew. */
export async function show() {
  close();
  const path = location.pathname;
  const view = (open.view = viewAt(path) ?? null);
  const { signal } = (open.abort = new AbortController());
  const root = element("div", { class: `view view-${view?.name ?? "none"}` });
  byId("view").replaceChildren(root);
  whenShown();
  if (view === null) {
    root.append(element("h1", {}, t("There is no such page")), element("p", {}, link("/", t("To the first page"))));
    return;
  }
  try {
    const { default: module } = await view.load();
    if (signal.aborted) return;
    open.module = module;
    whenShown();
    const shown = await module.open(root, { match: path.match(view.path), query: query(), signal });
    if (signal.aborted) shown?.close?.();
    else open.shown = shown ?? {};
  } catch (error) {
    if (!signal.aborted && !(error instanceof Unauthorized)) root.replaceChildren(failure(error));
  }
}

/** Leaves the view that is shown. */
export function close() {
  open.abort?.abort();
  open.shown?.close?.();
  open.module = open.shown = null;
}

const viewAt = (path) => views.find((view) => view.path.test(path));

function failure(error) {
  if (error.name !== "TypeError" && error.name !== "TimeoutError" && error.status === undefined) console.error(error);
  return element("p", { class: "notice tone-bad", role: "alert" }, `${explanation(error)} `, button(t("Try again"), show));
}

function follow(event) {
  const anchor = event.target.closest?.("a[href]");
  const isPlain = event.button === 0 && !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
  if (!anchor || !isPlain || event.defaultPrevented || anchor.target || anchor.hasAttribute("download")) return;
  const url = new URL(anchor.href);
  if (url.origin !== location.origin || !viewAt(url.pathname)) return;
  event.preventDefault();
  go(url.pathname + url.search + url.hash);
}
