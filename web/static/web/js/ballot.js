// @ts-check
// The ballot of a poll's page: sends it so that it counts once whatever happens to the connection,
// and follows the poll. Without it the form does the same by itself, a page at a time.
import { call, mayPass, pause } from "./lib/http.js";
import { Follow } from "./lib/follow.js";
import { delay } from "./lib/live.js";
import { say, text } from "./lib/words.js";
import { element, isCount, places, root, show, showConnection, showCount, showStatus } from "./parts/page.js";

/** @typedef {() => Promise<Record<string, string>>} Headers  that say who votes */
/** @typedef {{ key: string, ballot: any }} Pending */

const form = /** @type {HTMLFormElement} */ (element("ballot"));
const notice = element("notice");
// At once: when it is needed the connection may be gone.
const kind = import(`./ballots/${root.dataset.ballot}.js`);
const waiting = `polls.pending.${root.dataset.poll}`;

/** @param {string} words @param {boolean} [bad] */
function tell(words, bad = false) {
  notice.classList.toggle("problem", bad);
  notice.textContent = words;
}

/** What is sent but not answered: a page that is loaded again goes on with it. */
const pending = {
  /** @returns {Pending | null} */
  read() {
    try {
      return JSON.parse(sessionStorage.getItem(waiting) ?? "null");
    } catch {
      return null; // storage is switched off, or holds what is not ours
    }
  },
  /** @param {Pending | null} value */
  keep(value) {
    try {
      if (value) sessionStorage.setItem(waiting, JSON.stringify(value));
      else sessionStorage.removeItem(waiting);
    } catch {
      // the vote goes out all the same
    }
  },
};

/** Let the form be filled in, or not. */
function settle() {
  const open = root.dataset.status === "open" && root.dataset.voted !== "yes" && root.dataset.sending !== "yes";
  /** @type {HTMLFieldSetElement} */ (form.querySelector("fieldset")).disabled = !open;
  show("vote", open);
}

/** @param {string} receipt */
function thank(receipt) {
  root.dataset.voted = "yes";
  tell(say("counted"));
  const code = document.createElement("code");
  code.textContent = receipt;
  if (receipt) notice.append(` ${say("receipt")} `, code);
}

/** @param {import("./lib/live.js").State} state */
function draw(state) {
  const before = root.dataset.status;
  if (state.status !== before) {
    showStatus(state.status);
    if (root.dataset.voted !== "yes" && root.dataset.sending !== "yes") {
      if (state.status === "open") tell(say("opened"));
      if (state.status === "closed") tell(say("over"));
    }
    settle();
  }
  const counts = isCount(state);
  if (counts) showCount(state);
  show("ballots", counts);
  show("results", counts);
  show("hidden", !counts);
}

/**
 * Send a ballot until it has an answer that stands.
 * @param {Pending} what @param {Headers} headers @returns {Promise<import("./lib/http.js").Answer>}
 */
async function send({ key, ballot }, headers) {
  for (let failures = 0; ; failures += 1) {
    const answer = await call("POST", root.dataset.vote ?? "", {
      body: ballot,
      headers: { ...(await headers()), "Idempotency-Key": key },
    });
    if (!mayPass(answer.status)) return answer;
    tell(say("retrying"), true);
    const atLeast = Number(answer.headers?.get("Retry-After") ?? 0) * 1000;
    await pause(Math.max(atLeast, 500) + delay(failures));
  }
}

/** @param {import("./lib/http.js").Answer} answer @param {Headers} headers */
async function conclude({ status, body }, headers) {
  if (status === 200 || status === 201) {
    thank(body.receipt);
    if (body.results) draw(body.results);
  } else if (body?.code === "already_voted") {
    root.dataset.voted = "yes";
    await recall(headers);
    tell(text("refused").already_voted, true);
  } else tell(text("refused")[body?.code] ?? say("failed"), true);
}

/** @param {Pending} what @param {Headers} headers */
async function cast(what, headers) {
  pending.keep(what);
  root.dataset.sending = "yes";
  tell(say("sending"));
  settle();
  const answer = await send(what, headers);
  pending.keep(null);
  delete root.dataset.sending;
  await conclude(answer, headers);
  settle();
}

/** Show the vote that this voter has cast before, if any. @param {Headers} headers */
export async function recall(headers) {
  const { status, body } = await call("GET", root.dataset.vote ?? "", { headers: await headers() });
  if (status !== 200 || !body.voted) return;
  if (body.choices) (await kind).fill(form, body);
  thank(body.receipt ?? "");
  settle();
}

/** Headers that a session of an account needs; a voter's cookie needs none. @type {Headers} */
export async function cookieHeaders() {
  if (root.dataset.signedIn !== "yes") return {};
  const token = /** @type {HTMLInputElement} */ (form.elements.namedItem("csrfmiddlewaretoken"));
  return { "X-CSRFToken": token.value };
}

/**
 * Bring the page to life.
 * @param {Headers} headers @param {() => Promise<string>} [ticket]  for a voter without a cookie
 */
export async function start(headers, ticket) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { problem, read } = await kind;
    const wrong = problem(form, Number(root.dataset.min), Number(root.dataset.max));
    if (wrong) return tell(wrong, true);
    const key = /** @type {HTMLInputElement} */ (form.elements.namedItem("key")).value;
    await cast({ key, ballot: read(form) }, headers);
  });
  form.noValidate = true; // the notice says it where the thumb is
  new Follow(places(), { onState: draw, onConnection: showConnection, ticket, headers });
  const left = pending.read();
  if (left && root.dataset.voted !== "yes") {
    (await kind).fill(form, left.ballot);
    await cast(left, headers);
  } else pending.keep(null);
}
