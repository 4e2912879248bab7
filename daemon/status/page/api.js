// Requests to the daemon, with the cookie of the session where there is one, in the language of the page.

import { language, t } from "./words.js";

const SESSION_ENDED = "urn:dongbo:problem:session-ended";
const ROLE_NEEDED = "urn:dongbo:problem:role-needed";
const READING = 10_000; // milliseconds that an answer may take
const WRITING = 30_000;
const SAVING = 120_000;

/** The daemon wants to know who asks. `unauthorized` is dispatched on the window as well, with why where it knows. */
export class Unauthorized extends Error {}

/** The daemon refused; the message is its own. `problem` is what it answered, where that could be read. */
export class Refused extends Error {
  constructor(message, status, problem = {}) {
    super(message);
    this.status = status;
    this.problem = problem;
  }
}

/** What an error says to a person. */
export function explanation(error) {
  if (error.name === "TypeError") return t("The daemon can’t be reached.");
  return error.name === "TimeoutError" ? t("The daemon did not answer in time.") : error.message;
}

/** A response that is not an error. */
export async function request(path, { method = "GET", body, headers = {}, signal } = {}) {
  const sent = { "Accept-Language": language(), ...headers };
  // Without such a header the daemon changes nothing: a form on another site can't send it.
  if (method !== "GET") sent["X-Dongbo-Client"] = "page";
  if (body !== undefined) sent["Content-Type"] = "application/json";
  const response = await fetch(path, {
    method,
    headers: sent,
    body: body === undefined ? undefined : JSON.stringify(body),
    signal,
    cache: "no-store",
    credentials: "same-origin",
  });
  if (response.ok) return response;
  const problem = await read(response);
  const message = problem.detail ?? problem.title ?? t("The daemon answered {status}.", { status: response.status });
  if (response.status !== 401) {
    if (problem.type === ROLE_NEEDED) dispatchEvent(new CustomEvent("forbidden"));
    throw new Refused(message, response.status, problem);
  }
  dispatchEvent(new CustomEvent("unauthorized", { detail: problem.type === SESSION_ENDED ? message : "" }));
  throw new Unauthorized(message);
}

/** The JSON at an address. `signal`: of the view that asks, to give up when it is left. */
export async function getJson(path, { signal } = {}) {
  const limits = [AbortSignal.timeout(READING), ...(signal ? [signal] : [])];
  return (await request(path, { signal: AbortSignal.any(limits) })).json();
}

/** Sends a change; the JSON of the answer, null where there is none. */
export async function send(method, path, body) {
  const response = await request(path, { method, body, signal: AbortSignal.timeout(WRITING) });
  return response.status === 204 ? null : response.json();
}

export const post = (path, body) => send("POST", path, body);

/** Saves an answer as a file: a link would show nothing of what goes wrong. */
export async function download(path, name) {
  const response = await request(path, { signal: AbortSignal.timeout(SAVING) });
  const address = URL.createObjectURL(await response.blob());
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** Answers for one place of the page: one that comes after a later question no longer belongs there. */
export class Latest {
  #asked = 0;

  /** The answer; null where something else was asked meanwhile, whatever the outcome. */
  async get(path, options) {
    const number = ++this.#asked;
    try {
      const answer = await getJson(path, options);
      return number === this.#asked ? answer : null;
    } catch (error) {
      if (number !== this.#asked) return null;
      throw error;
    }
  }

  /** What was asked is no longer wanted. */
  forget() {
    this.#asked += 1;
  }
}

async function read(response) {
  try {
    return await response.json();
  } catch {
    return {};
  }
}
