// @ts-check
// The ballot of a poll's page: sends it so that it counts once, follows the poll, and turns to
// whichever poll an event shows. Without it the form does the same, a page at a time.
import { call } from "./lib/http.js";
import { Follow } from "./lib/follow.js";
import { keep, recall as remember, remembered } from "./lib/memory.js";
import { isCounted, send } from "./lib/sending.js";
import { say, text } from "./lib/words.js";
import { element, isCount, places, root, show, showConnection, showCount, showStatus } from "./parts/page.js";
import { isShown, needsServer, turn } from "./parts/question.js";

/** @typedef {import("./lib/sending.js").Headers} Headers */
/** @typedef {import("./lib/sending.js").Vote} Vote */
/** @typedef {import("./lib/live.js").State} State */

const form = /** @type {HTMLFormElement} */ (element("ballot"));
const notice = element("notice");
// At once: when it is needed the connection may be gone.
const kind = import(`./ballots/${root.dataset.ballot}.js`);
/** @type {State | null} */ let last = null;

const shown = () => root.dataset.poll ?? "";
const hasVoted = () => root.dataset.voted === "yes";

/** @param {string} words @param {boolean} [bad] */
function tell(words, bad = false) {
  notice.classList.toggle("problem", bad);
  if (notice.textContent !== words) notice.textContent = words; // or it would be read out again
}

/** Let the form be filled in, or not; whoever was in it goes on from the notice. */
function settle() {
  const open = root.dataset.status === "open" && !hasVoted() && root.dataset.sending !== "yes";
  const inside = form.contains(document.activeElement);
  /** @type {HTMLFieldSetElement} */ (form.querySelector("fieldset")).disabled = !open;
  show("vote", open);
  if (inside && !open) notice.focus({ preventScroll: true });
}

/** @param {string} receipt */
function thank(receipt) {
  root.dataset.voted = "yes";
  tell(say("counted"));
  if (!receipt) return;
  const code = document.createElement("code");
  code.textContent = receipt;
  notice.append(` ${say("receipt")} `, code);
}

/** Forget a vote that does not stand any more: the poll was reset after a rehearsal. */
function forget() {
  keep(`voted.${shown()}`, null);
  if (!hasVoted()) return;
  root.dataset.voted = "no";
  tell("");
  settle();
}

/** @param {State} state */
function draw(state) {
  const before = last?.poll === state.poll ? last : null;
  last = state;
  if (state.status !== root.dataset.status) {
    const first = !root.dataset.status;
    showStatus(state.status);
    if (!hasVoted() && root.dataset.sending !== "yes") {
      if (state.status === "open") tell(first ? "" : say("opened"));
      if (state.status === "scheduled") tell(say("not_open"));
      if (state.status === "closed") tell(say("over"));
    }
    settle();
  }
  const counts = isCount(state);
  if (counts) showCount(state);
  show("ballots", counts);
  show("results", counts);
  show("hidden", !counts);
  if (before && mayBeReset(before, state)) dispatchEvent(new Event("polls:reset"));
}

/**
 * Whether a poll may have begun anew: there are fewer ballots, they are hidden again, or the same
 * status is told once more.
 * @param {State} before @param {State} now
 */
function mayBeReset(before, now) {
  if (isCount(before) && isCount(now)) return now.ballots < before.ballots;
  return isCount(before) || (!isCount(now) && before.status === now.status);
}

/** Show the vote that this voter has cast, or that there is none. @param {Headers} headers */
export async function recall(headers) {
  const poll = shown();
  const { status, body } = await call("GET", root.dataset.vote ?? "", { headers: await headers() });
  const { fill } = await kind;
  if (poll !== shown()) return;
  // A voter of an open poll is not known: there is nobody to ask for.
  if (status === 401 || (status === 200 && !body.voted)) return forget();
  if (status !== 200) return;
  if (body.choices) fill(form, body);
  thank(body.receipt ?? "");
  settle();
}

/** Send a vote, and show what came of it where its poll is shown. @param {Vote} vote @param {Headers} headers */
async function cast(vote, headers) {
  const here = () => shown() === vote.poll;
  if (here()) {
    root.dataset.sending = "yes";
    tell(say("sending"));
    settle();
  }
  const answer = await send(vote, headers, () => here() && tell(say("retrying"), true));
  if (!answer) return;
  if (isCounted(answer)) keep(`voted.${vote.poll}`, { receipt: answer.body.receipt, ballot: vote.ballot });
  const why = text("refused")[answer.body?.code] ?? say("failed");
  if (!here()) {
    if (!isCounted(answer)) tell(`${vote.title}: ${why}`, true);
    return;
  }
  delete root.dataset.sending;
  if (isCounted(answer)) {
    thank(answer.body.receipt);
    if (answer.body.results) draw(answer.body.results);
  } else if (answer.body?.code === "already_voted") {
    await recall(headers);
    if (here()) tell(why, true);
  } else tell(why, true);
  settle();
}

/**
 * Turn to what an event shows. @param {import("./lib/live.js").Event} event
 * @param {any} ballot  of the question's kind @param {Headers} headers
 */
function take(event, ballot, headers) {
  const question = event.current;
  if ((question?.poll ?? "") === shown() && (!question || isShown(question))) return;
  if (needsServer(question)) {
    setTimeout(() => location.reload(), Math.random() * 2_000);
    return;
  }
  const inside = form.contains(document.activeElement);
  const same = question?.poll === shown();
  const marks = same ? ballot.read(form) : {};
  delete root.dataset.sending;
  turn(event, ballot);
  tell("");
  // A poll that is changed while it is shown may have told its status before this.
  if (same && last) draw(last);
  else last = null;
  settle();
  if (inside) element("title").focus({ preventScroll: true });
  const known = remember(`voted.${shown()}`);
  const left = remember(`pending.${shown()}`);
  ballot.fill(form, known?.ballot ?? left?.ballot ?? marks);
  if (known) {
    thank(known.receipt);
    settle();
    soon(() => hasVoted() && recall(headers)); // it may have been reset meanwhile
  } else if (left) {
    root.dataset.sending = "yes";
    tell(say("retrying"), true);
    settle();
    cast(left, headers);
  }
}

/** Do something within some seconds: all phones of a hall come to it at once. @param {() => void} what */
const soon = (what) => setTimeout(what, Math.random() * 5_000);

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
  const ballot = await kind;
  form.noValidate = true; // the notice says it where the thumb is
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const wrong = ballot.problem(form, Number(root.dataset.min), Number(root.dataset.max));
    if (wrong) return tell(wrong, true);
    const { value: key } = /** @type {HTMLInputElement} */ (form.elements.namedItem("key"));
    const title = element("title").textContent ?? "";
    cast({ poll: shown(), title, key, ballot: ballot.read(form) }, headers);
  });
  addEventListener("polls:reset", () => hasVoted() && soon(() => hasVoted() && recall(headers)));
  new Follow(places(), {
    onState: draw,
    onConnection: showConnection,
    onEvent: root.dataset.event ? (event) => take(event, ballot, headers) : undefined,
    ticket,
    headers,
  });
  // The server knows better than the tab.
  const receipt = notice.querySelector("code")?.textContent ?? "";
  keep(`voted.${shown()}`, hasVoted() ? { receipt, ballot: ballot.read(form) } : null);
  for (const poll of remembered("pending.")) {
    const vote = remember(`pending.${poll}`);
    if (poll === shown() && hasVoted()) keep(`pending.${poll}`, null);
    else if (vote) {
      if (poll === shown()) ballot.fill(form, vote.ballot);
      cast(vote, headers);
    }
  }
}
