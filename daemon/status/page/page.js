// The shell: the bar of views, the connection, and the view that the address names.

import { byId, element, setAttribute, setHidden, setText } from "./dom.js";
import { connection } from "./live.js";
import { askForToken, isAsking, startLogin } from "./login.js";
import { now, onTick } from "./now.js";
import { close, current, show, startRouter, tell, title } from "./router.js";
import { forgetCaller, readCaller, startSession } from "./session.js";
import { isStale, needs, refresh, refreshSoon, startStatus, status } from "./status.js";
import { bar, views } from "./views.js";
import { language, languages, setLanguage, t, time, tn, zoneName } from "./words.js";

buildFrame();
startLogin(enter);
startSession(() => lock(""));
addEventListener("unauthorized", ({ detail }) => lock(detail));
connection.subscribe({
  onJob: (job) => {
    tell("onJob", job);
    refreshSoon();
  },
  onState: (turned) => {
    showConnection();
    tell("onState", turned);
    if (turned === "live") Promise.all([refresh(), readCaller()]);
  },
});
onTick(() => {
  showConnection();
  tell("onTick");
});
startStatus((answer) => {
  showConnection();
  if (answer === null) return;
  showFrame(answer);
  tell("onStatus", answer);
});
startRouter(views, onShown);
await enter();

/** Shows the page, unless the daemon wants somebody to log in. */
async function enter() {
  await Promise.all([refresh(), readCaller()]);
  showConnection();
  if (isAsking()) return;
  connection.start();
  await show();
}

function lock(message) {
  connection.stop();
  close();
  forgetCaller();
  askForToken(message);
  showConnection();
}

function buildFrame() {
  document.documentElement.lang = language();
  byId("skip").textContent = t("To the content");
  const nav = byId("views");
  nav.setAttribute("aria-label", t("Views"));
  nav.append(...bar.map((entry) => element("a", { href: entry.url, "data-view": entry.name }, entry.label)));
  const group = byId("languages");
  group.setAttribute("aria-label", t("Language"));
  group.append(...languages().map(languageButton));
}

function languageButton(name) {
  const attributes = { type: "button", lang: name, "aria-pressed": String(name === language()), title: new Intl.DisplayNames(name, { type: "language" }).of(name) };
  const made = element("button", attributes, name.toUpperCase());
  made.addEventListener("click", () => setLanguage(name));
  return made;
}

function onShown() {
  for (const entry of bar) {
    const isHere = entry.name === current() || entry.also.includes(current());
    setAttribute(document.querySelector(`[data-view="${entry.name}"]`), "aria-current", isHere ? "page" : null);
  }
  showTitle();
}

/** How many things wait for a person. */
function needed() {
  return needs(status()?.conditions ?? []).length;
}

function showTitle() {
  const said = [];
  if (isAsking()) said.push(t("Log in"));
  else if (state() === "lost") said.push(asOf() || t("no connection"));
  else if (needed() > 0) said.push(tn("{n} needs you", "{n} need you", { n: needed() }));
  if (current() !== "now" && title()) said.push(title());
  document.title = [...said, "dongbo"].join(" · ");
}

function showFrame(answer) {
  const nav = document.querySelector('[data-view="now"]');
  setAttribute(nav, "data-count", needed() > 0 ? needed() : null);
  setAttribute(nav, "aria-label", needed() > 0 ? `${t("Now")}, ${tn("{n} needs you", "{n} need you", { n: needed() })}` : null);
  const links = [["/openapi.json", "API"], ["/metrics", t("Metrics")], ["/readyz?verbose", t("Checks")]];
  byId("footer").replaceChildren(
    element("span", {}, t("Times are in {zone}.", { zone: zoneName() })),
    element("span", {}, `dongbo ${answer.version}`),
    element("span", { class: "links" }, links.map(([href, label]) => element("a", { href }, label))),
  );
  showTitle();
}

/** "locked", "connecting", "live", or "lost" where nobody knows whether what is shown still holds. */
function state() {
  if (isAsking()) return "locked";
  return connection.state === "live" && isStale() ? "lost" : connection.state;
}

/** Until when what is shown is known to have held, in words; "" where nothing is shown yet. */
function asOf() {
  const last = isStale() ? status()?.now : connection.asOf;
  return last === null || last === undefined ? "" : t("as of {time}", { time: time(last) });
}

function showConnection() {
  const isLost = state() === "lost";
  setAttribute(document.body, "data-connection", state());
  const words = {
    live: t("live · {time}", { time: time(now()) }),
    connecting: t("connecting…"),
    lost: [connection.isAsleep ? t("paused") : t("no connection"), asOf()].filter(Boolean).join(" · "),
    locked: t("not logged in"),
  };
  setText(byId("connection"), words[state()]);
  const told = isLost && !connection.isAsleep;
  setText(byId("away"), told ? t("No connection to the daemon: all this is {asOf}. Reconnecting…", { asOf: asOf() || t("old") }) : "");
  setHidden(byId("away"), !told);
  showTitle();
}
