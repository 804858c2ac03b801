// @ts-check
// One request to the API, whose answer is a value in every case: nothing is thrown.

/** @typedef {{ status: number, body: any, headers: Headers | null }} Answer  status 0: none came */

/** @type {Answer} */ const NONE = { status: 0, body: null, headers: null };
const PATIENCE_MS = 8_000; // the server answers within 4.5 s, or not at all

/** @type {RequestCredentials} */ let credentials = "same-origin";

/** Send no cookies from now on: in a frame of another site some browsers would, others not. */
export function withoutCookies() {
  credentials = "omit";
}

/**
 * @param {string} method @param {string} path
 * @param {{ body?: unknown, headers?: Record<string, string> }} [options]
 * @returns {Promise<Answer>}
 */
export async function call(method, path, { body, headers = {} } = {}) {
  try {
    const answer = await fetch(path, {
      method,
      headers: body === undefined ? headers : { "Content-Type": "application/json", ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials,
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    const text = await answer.text();
    const json = /json/.test(answer.headers.get("Content-Type") ?? "");
    // A page in the place of an answer comes from what stands between: a network that asks to log in.
    if (answer.ok && text && !json) return NONE;
    return { status: answer.status, body: json && text ? JSON.parse(text) : null, headers: answer.headers };
  } catch {
    return NONE;
  }
}

/** Whether the same request may find another answer soon. @param {number} status */
export const mayPass = (status) => [0, 408, 429, 502, 503, 504].includes(status);

/** Wait, or less where the network comes back. @param {number} ms @returns {Promise<void>} */
export function pause(ms) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    addEventListener("online", done);
  });
}
