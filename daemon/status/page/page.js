// The job page: a stream of jobs, and the daemon's status every few seconds.

import { explanation, forgetToken, getJson, hasToken, keepToken, Unauthorized } from "./api.js";
import { byId, element, setAttribute, setHidden, setText } from "./dom.js";
import { Explainer } from "./explain.js";
import { relative, useClock, zoneName } from "./format.js";
import { JobTable } from "./jobs.js";
import { SaleTable } from "./sales.js";
import { ScheduleTable } from "./schedules.js";
import { JobStream } from "./stream.js";

const REFRESH = 10_000; // milliseconds between two looks at the status
const REFRESH_SALES = 15_000; // their jobs tell of most changes at once
const SOON = 800; // after something has happened that the status tells of

const schedules = new ScheduleTable(act, refresh);
const jobs = new JobTable(act, emptyText);
const explainer = new Explainer(act);
const sales = new SaleTable(askForToken);
const stream = new JobStream({
  onSnapshot: (all) => {
    jobs.replaceAll(all);
    sales.refreshSoon();
  },
  onJob: (job) => {
    const isNew = !jobs.rows.has(job.id);
    jobs.put(job);
    sales.follow(job);
    if (isNew || job.completed_at !== null) refreshSoon();
  },
  onPruned: (pruning) => jobs.prune(pruning),
  onState: (text, tone) => showBadge("live", text, tone),
  onUnauthorized: askForToken,
});

let refreshing = null;
let soon = null;
let asking = false;

/** Carries out what a person asked for; an error is shown to them. */
async function act(work) {
  try {
    await work();
    setHidden(byId("notice"), true);
  } catch (error) {
    if (error instanceof Unauthorized) askForToken(error.message);
    else notify(explanation(error));
  }
}

function notify(text) {
  setText(byId("notice-text"), text);
  setAttribute(byId("notice"), "data-tone", "bad");
  setHidden(byId("notice"), false);
}

/** Asks for the status; never twice at once. */
function refresh() {
  refreshing ??= load().finally(() => (refreshing = null));
  return refreshing;
}

async function load() {
  if (asking) return;
  try {
    const status = await getJson("/status");
    useClock(status.timezone, status.now);
    setText(byId("version"), `v${status.version}`);
    setText(byId("zone"), `Times are in ${zoneName()}.`);
    showHealth(status);
    showCredentials(status.credentials);
    setHidden(byId("api-link"), hasToken()); // a link can't send the token
    schedules.show(status.schedules, status.timezone);
    explainer.show(status.stores);
    sales.showStores(status.stores);
    tick();
  } catch (error) {
    if (error instanceof Unauthorized) askForToken(error.message);
    else showBadge("health", "No answer", "bad");
  }
}

function refreshSoon() {
  soon ??= setTimeout(() => {
    soon = null;
    refresh();
  }, SOON);
}

function showHealth(status) {
  const failing = status.checks.filter((check) => !check.ok);
  showBadge("health", status.ready ? "Ready" : "Not ready", status.ready ? "good" : "bad");
  setHidden(byId("problems"), failing.length === 0);
  setText(byId("problems"), failing.map((check) => `${check.name}: ${check.detail}`).join(". "));
}

/** What a person has to renew, or to grant, before jobs fail or because they do. */
function showCredentials(credentials) {
  const lines = credentials.flatMap((credential) => credential.problems.map((problem) => `${credential.store}: ${problem}`));
  const list = byId("credentials");
  setAttribute(list, "data-tone", credentials.some((credential) => credential.refused_since) ? "bad" : "wait");
  setHidden(list, lines.length === 0);
  if (list.dataset.shown === lines.join("\n")) return; // selections and screen readers are left in peace
  list.dataset.shown = lines.join("\n");
  list.replaceChildren(...lines.map((line) => element("li", {}, line)));
}

function showBadge(id, text, tone) {
  setText(byId(id), text);
  setAttribute(byId(id), "data-tone", tone);
}

function emptyText() {
  const next = schedules.next();
  if (next) return `No jobs yet. The schedule "${next.name}" fires ${relative(next.next_fire)}.`;
  return "No jobs yet. Start one with `dongbo pull`, or add a schedule to the configuration.";
}

function tick() {
  jobs.tick();
  schedules.tick();
  sales.tick();
  if (schedules.hasPassed()) refreshSoon();
}

function askForToken(message) {
  if (asking) return;
  asking = true;
  stream.stop();
  setText(byId("login-error"), hasToken() ? message : "");
  forgetToken();
  setHidden(byId("login"), false);
  setHidden(byId("content"), true);
  showBadge("live", "Locked", "wait");
  showBadge("health", "Token needed", "wait");
  byId("token").focus();
}

byId("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  keepToken(byId("token").value.trim());
  byId("token").value = "";
  asking = false;
  await refresh();
  if (asking) return;
  setHidden(byId("login"), true);
  setHidden(byId("content"), false);
  start();
});

byId("notice-close").addEventListener("click", () => setHidden(byId("notice"), true));
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  refresh();
  if (!asking) sales.refresh();
});
setInterval(() => {
  if (!document.hidden) refresh();
}, REFRESH);
setInterval(() => {
  if (!document.hidden && !asking) sales.refresh();
}, REFRESH_SALES);
setInterval(() => {
  if (!document.hidden && !asking) tick();
}, 1_000);

await refresh();
if (!asking) start();

function start() {
  stream.start();
  sales.refresh();
}
