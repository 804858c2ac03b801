// @ts-check
// Send a vote until an answer stands, so that it counts once whatever happens to the connection.
import { call, mayPass, pause } from "./http.js";
import { delay } from "./live.js";
import { keep } from "./memory.js";

/** @typedef {() => Promise<Record<string, string>>} Headers  that say who votes */
/** @typedef {{ poll: string, title: string, key: string, ballot: any }} Vote */

const LEAST_MS = 500;
const MOST_MS = 30_000; // whatever a server, or what stands before it, asks for
/** @type {Set<string>} */ const underWay = new Set();

/** @param {Headers | null} headers */
function wait(headers) {
  const asked = Number(headers?.get("Retry-After"));
  return Number.isFinite(asked) ? Math.min(Math.max(asked * 1000, LEAST_MS), MOST_MS) : LEAST_MS;
}

/** Whether an answer is a receipt. @param {import("./http.js").Answer} answer */
export const isCounted = ({ status, body }) =>
  (status === 200 || status === 201) && typeof body?.receipt === "string";

/**
 * Send a vote, again and again with the same key; a page that is loaded meanwhile goes on with it.
 * Return the answer that stands, null where the vote is on its way already.
 * @param {Vote} vote @param {Headers} headers @param {() => void} onRetry
 * @returns {Promise<import("./http.js").Answer | null>}
 */
export async function send(vote, headers, onRetry) {
  const { poll, key, ballot } = vote;
  if (underWay.has(key)) return null;
  underWay.add(key);
  keep(`pending.${poll}`, vote);
  for (let failures = 0; ; failures += 1) {
    const answer = await call("POST", `/api/v1/polls/${poll}/votes/`, {
      body: ballot,
      headers: { ...(await headers()), "Idempotency-Key": key },
    });
    if (isCounted(answer) || (answer.status >= 400 && !mayPass(answer.status))) {
      keep(`pending.${poll}`, null);
      underWay.delete(key);
      return answer;
    }
    onRetry();
    await pause(wait(answer.headers) + delay(failures));
  }
}
