// @ts-check
// Send a vote until an answer stands, so that it counts once whatever happens to the connection.
import { call, mayPass, pause } from "./http.js";
import { delay } from "./live.js";
import { keep } from "./memory.js";

/** @typedef {() => Promise<Record<string, string>>} Headers  that say who votes */
/**
 * @typedef {object} Vote  a vote, its replacement by PUT, or its withdrawal by DELETE
 * @property {string} poll @property {string} title @property {string} key
 * @property {"POST" | "PUT" | "DELETE"} method @property {any} ballot
 * @property {string} [code]  by which the poll knows the voter
 * @property {boolean} [secret]  nothing is remembered of the ballot once it is counted
 */

const LEAST_MS = 500;
const MOST_MS = 30_000; // whatever a server, or what stands before it, asks for
/** @type {Set<string>} */ const underWay = new Set();

/** @param {Headers | null} headers */
function wait(headers) {
  const asked = Number(headers?.get("Retry-After"));
  return Number.isFinite(asked) ? Math.min(Math.max(asked * 1000, LEAST_MS), MOST_MS) : LEAST_MS;
}

/** Return a new key: sent twice, a ballot counts once. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(24));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_");
}

/** Whether an answer says that it is done. @param {import("./http.js").Answer} answer */
export const isCounted = ({ status, body }) =>
  status === 204 || ((status === 200 || status === 201) && typeof body?.receipt === "string");

/**
 * Whether an answer is worth waiting for another. Wrong codes are counted: who is told that there
 * were too many need not send theirs again for minutes.
 * @param {number} status @param {Vote} vote
 */
const mayStillPass = (status, { code }) => mayPass(status) && !(status === 429 && code !== undefined);

/** @param {Vote} vote @param {Record<string, string>} headers  that say who votes */
function request({ poll, method = "POST", ballot, code, key }, headers) {
  const withKey = { ...headers, "Idempotency-Key": key };
  const path = `/api/v1/polls/${poll}/votes/`;
  if (method === "DELETE") {
    return call(method, path, { headers: code === undefined ? withKey : { ...withKey, "X-Voter-Code": code } });
  }
  return call(method, path, { body: code === undefined ? ballot : { ...ballot, code }, headers: withKey });
}

/**
 * Send a vote, again and again with the same key; a page that is loaded meanwhile goes on with it.
 * Return the answer that stands, null where the vote is on its way already.
 * @param {Vote} vote @param {Headers} headers @param {() => void} onRetry
 * @returns {Promise<import("./http.js").Answer | null>}
 */
export async function send(vote, headers, onRetry) {
  const { poll, key } = vote;
  if (underWay.has(key)) return null;
  underWay.add(key);
  keep(`pending.${poll}`, vote);
  for (let failures = 0; ; failures += 1) {
    const answer = await request(vote, await headers());
    if (isCounted(answer) || (answer.status >= 400 && !mayStillPass(answer.status, vote))) {
      keep(`pending.${poll}`, null);
      underWay.delete(key);
      return answer;
    }
    onRetry();
    await pause(wait(answer.headers) + delay(failures));
  }
}
