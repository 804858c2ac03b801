// @ts-check
// The field of a poll's voting code: typed in any way, pasted, or brought by the address behind its
// #, which no server sees. The code is kept nowhere but in the field, and until its vote is counted
// with the vote.
import { call, mayPass } from "../lib/http.js";
import { root, show, write } from "./page.js";

const input = /** @type {HTMLInputElement | null} */ (document.getElementById("code"));

/** Whether the poll knows its voters by codes. */
export const asksCode = () => root.dataset.identity === "code";

/** Return the code without what people and phones put between its letters. */
export const code = () => (input?.value ?? "").normalize("NFKC").replace(/[^0-9a-z]/gi, "");

/** Write a code into the field. @param {string} text */
export function writeCode(text) {
  if (input) input.value = text;
  complain("");
}

/** Say what is wrong with the code; nothing with an empty text. @param {string} words */
export function complain(words) {
  show("code-problem", !!words);
  write("code-problem", words);
  if (!input) return;
  if (!words) input.removeAttribute("aria-invalid");
  else {
    input.setAttribute("aria-invalid", "true");
    input.focus();
  }
}

/** Let the field be seen and filled in, or not. @param {boolean} seen @param {boolean} open */
export function showCode(seen, open) {
  show("code-field", seen);
  if (input) input.disabled = !seen || !open;
}

/** Take the code out of the address, where it would stay in sight; return whether there was one. */
export function takeCode() {
  const found = new URLSearchParams(location.hash.slice(1)).get("code");
  if (found === null) return false;
  history.replaceState(null, "", location.pathname + location.search);
  if (asksCode()) writeCode(found.match(/.{1,4}/g)?.join("-") ?? "");
  return asksCode();
}

/** Headers that say whose vote is asked for. @returns {Record<string, string>} */
export const codeHeaders = () => (asksCode() && code() ? { "X-Voter-Code": code() } : {});

/**
 * Return a ticket for a socket that sees what the code's vote has opened: none where there is
 * nothing to see by it, an empty one where it is worth coming back for. Where too many have been
 * asked for, the socket comes without one, and `again` when there is room.
 * @param {() => void} again
 */
export async function codeTicket(again) {
  if (root.dataset.followsVotes !== "yes" || root.dataset.voted !== "yes" || !code()) return undefined;
  const body = { polls: [root.dataset.poll] };
  const { status, body: found, headers } = await call("POST", "/api/v1/live-tickets/", {
    body,
    headers: codeHeaders(),
  });
  if (status === 201) return found.ticket;
  if (status !== 429) return mayPass(status) ? "" : undefined;
  const seconds = Number(headers?.get("Retry-After")) || 60;
  setTimeout(again, seconds * (1 + Math.random()) * 1000); // all of a hall were told the same
}
