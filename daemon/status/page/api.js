// Requests to the daemon, with the token where it asks for one.

const KEY = "dongbo-token";

/** The daemon requires a token, or a different one. */
export class Unauthorized extends Error {}

/** The daemon refused; the message is its own. */
export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** What an error says to a person. */
export const explanation = (error) => {
  if (error.name === "TypeError") return "The daemon can't be reached.";
  return error.name === "TimeoutError" ? "The daemon did not answer in time." : error.message;
};

export const hasToken = () => sessionStorage.getItem(KEY) !== null;
export const keepToken = (token) => sessionStorage.setItem(KEY, token);
export const forgetToken = () => sessionStorage.removeItem(KEY);

/** A response that is not an error. */
export async function request(path, { method = "GET", body, headers = {}, signal } = {}) {
  const token = sessionStorage.getItem(KEY);
  const sent = { ...headers };
  // Header values are bytes: fetch refuses characters beyond Latin-1, so the token goes as UTF-8.
  if (token !== null) sent.Authorization = `Bearer ${asBytes(token)}`;
  // Without such a header the daemon changes nothing: a form on another site can't send it.
  if (method !== "GET") sent["X-Dongbo-Client"] = "page";
  if (body !== undefined) sent["Content-Type"] = "application/json";
  const response = await fetch(path, {
    method,
    headers: sent,
    body: body === undefined ? undefined : JSON.stringify(body),
    signal,
    cache: "no-store",
    credentials: "omit",
  });
  if (response.status === 401) throw new Unauthorized(await detail(response));
  if (!response.ok) throw new Refused(await detail(response), response.status);
  return response;
}

export const getJson = async (path) => (await request(path, { signal: AbortSignal.timeout(10_000) })).json();

/** Answers for one place of the page: one that comes after a later question no longer belongs there. */
export class Latest {
  #asked = 0;

  /** The answer; null where something else was asked meanwhile, whatever the outcome. */
  async get(path) {
    const number = ++this.#asked;
    try {
      const answer = await getJson(path);
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

export const post = async (path, body) =>
  (await request(path, { method: "POST", body, signal: AbortSignal.timeout(30_000) })).json();

/** Saves an answer as a file: a link can't send the token. */
export async function download(path, name) {
  const response = await request(path, { signal: AbortSignal.timeout(120_000) });
  const address = URL.createObjectURL(await response.blob());
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

const asBytes = (text) => String.fromCharCode(...new TextEncoder().encode(text));

async function detail(response) {
  try {
    const problem = await response.json();
    return problem.detail ?? problem.title ?? response.statusText;
  } catch {
    return `The daemon answered ${response.status} ${response.statusText}`;
  }
}
