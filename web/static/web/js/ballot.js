// @ts-check
// The ballot of a poll's page: sends it so that it counts once whatever happens to the connection,
// and follows the poll. Without it the form does the same by itself, a page at a time.
import { call, mayPass, pause } from "./lib/http.js";
import { Follow } from "./lib/follow.js";
import { delay } from "./lib/live.js";
import { say, text } from "./lib/words.js";
import { element, isCount, names, places, root, show, showConnection, showCount, showStatus } from "./parts/page.js";
import { needsServer, turn } from "./parts/question.js";

/** @typedef {() => Promise<Record<string, string>>} Headers  that say who votes */
/** @typedef {{ key: string, ballot: any }} Pending */

const form = /** @type {HTMLFormElement} */ (element("ballot"));
const notice = element("notice");
// At once: when it is needed the connection may be gone.
const kind = import(`./ballots/${root.dataset.ballot}.js`);

/** @param {string} words @param {boolean} [bad] */
function tell(words, bad = false) {
  notice.classList.toggle("problem", bad);
  notice.textContent = words;
}

/**
 * What this tab remembers of a poll: what was sent and not answered, so that a page that is loaded
 * again goes on with it, and what was counted, for an event that comes back to it.
 * @template T @param {"pending" | "voted"} what
 */
const memory = (what) => ({
  /** @returns {T | null} */
  read() {
    try {
      return JSON.parse(sessionStorage.getItem(`polls.${what}.${root.dataset.poll}`) ?? "null");
    } catch {
      return null; // storage is switched off, or holds what is not ours
    }
  },
  /** @param {T | null} value */
  keep(value) {
    try {
      const name = `polls.${what}.${root.dataset.poll}`;
      if (value) sessionStorage.setItem(name, JSON.stringify(value));
      else sessionStorage.removeItem(name);
    } catch {
      // the vote goes out all the same
    }
  },
});
const pending = /** @type {ReturnType<typeof memory<Pending>>} */ (memory("pending"));
const voted = /** @type {ReturnType<typeof memory<{ receipt: string, ballot: any }>>} */ (memory("voted"));

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

let ballots = 0; // as last shown: fewer of them means that the poll was reset after a rehearsal

/** @type {import("./lib/live.js").State | null} */ let last = null;

/** @param {import("./lib/live.js").State} state */
function draw(state) {
  last = state;
  const before = root.dataset.status;
  if (state.status !== before) {
    showStatus(state.status);
    if (root.dataset.voted !== "yes" && root.dataset.sending !== "yes") {
      if (state.status === "open") tell(before ? say("opened") : "");
      if (state.status === "scheduled") tell(say("not_open"));
      if (state.status === "closed") tell(say("over"));
    }
    settle();
  }
  const counts = isCount(state);
  if (counts) {
    if (state.ballots < ballots) setTimeout(() => dispatchEvent(new Event("polls:reset")), Math.random() * 1_000);
    ballots = state.ballots;
    showCount(state);
  }
  show("ballots", counts);
  show("results", counts);
  show("hidden", !counts);
}

/**
 * Send a ballot until it has an answer that stands, for as long as its poll is shown.
 * @param {Pending} what @param {Headers} headers @param {() => boolean} shown
 * @returns {Promise<import("./lib/http.js").Answer | null>}
 */
async function send({ key, ballot }, headers, shown) {
  const path = root.dataset.vote ?? "";
  for (let failures = 0; ; failures += 1) {
    const answer = await call("POST", path, {
      body: ballot,
      headers: { ...(await headers()), "Idempotency-Key": key },
    });
    if (!shown()) return null;
    if (!mayPass(answer.status)) return answer;
    tell(say("retrying"), true);
    const atLeast = Number(answer.headers?.get("Retry-After") ?? 0) * 1000;
    await pause(Math.max(atLeast, 500) + delay(failures));
    if (!shown()) return null;
  }
}

/** @param {import("./lib/http.js").Answer} answer @param {any} ballot @param {Headers} headers */
async function conclude({ status, body }, ballot, headers) {
  if (status === 200 || status === 201) {
    thank(body.receipt);
    voted.keep({ receipt: body.receipt, ballot });
    if (body.results) draw(body.results);
  } else if (body?.code === "already_voted") {
    root.dataset.voted = "yes";
    await recall(headers);
    tell(text("refused").already_voted, true);
  } else tell(text("refused")[body?.code] ?? say("failed"), true);
}

/** @param {Pending} what @param {Headers} headers */
async function cast(what, headers) {
  const poll = root.dataset.poll;
  pending.keep(what);
  root.dataset.sending = "yes";
  tell(say("sending"));
  settle();
  const answer = await send(what, headers, () => root.dataset.poll === poll);
  if (!answer) return; // the event shows another poll: the vote waits for it to come back
  pending.keep(null);
  delete root.dataset.sending;
  await conclude(answer, what.ballot, headers);
  settle();
}

/** Show the vote that this voter has cast before, if any. @param {Headers} headers */
export async function recall(headers) {
  const { status, body } = await call("GET", root.dataset.vote ?? "", { headers: await headers() });
  if (status !== 200) return;
  if (!body.voted) {
    voted.keep(null);
    if (root.dataset.voted === "yes") tell("");
    root.dataset.voted = "no";
    return settle();
  }
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
  const ballot = await kind;
  if (root.dataset.voted !== "yes") voted.keep(null); // it was reset after a rehearsal
  const goOn = async () => {
    const left = pending.read();
    if (left && root.dataset.voted !== "yes") {
      ballot.fill(form, left.ballot);
      await cast(left, headers);
    } else pending.keep(null);
  };
  addEventListener("polls:reset", () => root.dataset.voted === "yes" && recall(headers));
  new Follow(places(), {
    onState: draw,
    onConnection: showConnection,
    onEvent: root.dataset.event ? (event) => take(event, ballot, goOn) : undefined,
    ticket,
    headers,
  });
  await goOn();
}

/** Turn to what an event shows. @param {import("./lib/live.js").Event} event @param {any} ballot @param {() => void} goOn */
function take(event, ballot, goOn) {
  if ((event.current?.poll ?? "") === root.dataset.poll && !changed(event.current)) return;
  if (needsServer(event.current)) {
    setTimeout(() => location.reload(), Math.random() * 2_000);
    return;
  }
  // A poll that is changed while it is shown may have told its status before this.
  const state = event.current?.poll === last?.poll ? last : null;
  delete root.dataset.sending;
  ballots = 0;
  turn(event, ballot);
  tell("");
  if (state) draw(state);
  settle();
  const known = voted.read();
  if (known) {
    ballot.fill(form, known.ballot);
    thank(known.receipt);
  } else goOn();
}

/** Whether a question reads otherwise than the page. @param {import("./parts/question.js").Question | null} question */
function changed(question) {
  if (!question) return false;
  const shown = names();
  return (
    question.title !== element("title").textContent ||
    question.options.length !== shown.size ||
    question.options.some(({ id, text: words }) => shown.get(id) !== words)
  );
}
