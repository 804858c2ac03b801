// @ts-check
// The ballot of a poll's page: sends it so that it counts once, changes and withdraws it, follows
// the poll, and turns to whichever poll an event shows. Without it the form does the same, a page
// at a time.
import { call } from "./lib/http.js";
import { Follow } from "./lib/follow.js";
import { keep, recall as remember, remembered } from "./lib/memory.js";
import { isCounted, send } from "./lib/sending.js";
import { say } from "./lib/words.js";
import { asksCode, code, codeHeaders, codeTicket, complain, takeCode, writeCode } from "./parts/code.js";
import * as own from "./parts/own_vote.js";
import { element, isCount, places, root, show, showConnection, showCount, showStatus } from "./parts/page.js";

/** @typedef {import("./lib/sending.js").Headers} Headers */
/** @typedef {import("./lib/sending.js").Vote} Vote */
/** @typedef {import("./lib/live.js").State} State */

const { form, hasVoted, isSending, notice, settle, shown, tell } = own;
// At once: when it is needed the connection may be gone.
const kind = import(`./ballots/${root.dataset.ballot}.js`);
// Only an event turns a page to another poll.
const turning = root.dataset.event ? import("./parts/question.js") : null;
/** @type {State | null} */ let last = null;
/** @type {Follow | undefined} */ let follow;

/** @param {State} state */
function draw(state) {
  const before = last?.poll === state.poll ? last : null;
  last = state;
  if (state.status !== root.dataset.status) {
    const first = !root.dataset.status;
    showStatus(state.status);
    if (!hasVoted() && !isSending()) {
      if (state.status === "open" && !own.hasWithdrawn()) tell(first ? "" : say("opened"));
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
 * status is told once more. Where votes are withdrawn one by one, half of them must have gone.
 * @param {State} before @param {State} now
 */
function mayBeReset(before, now) {
  const left = root.dataset.change === "yes" ? 0.5 : 1;
  if (isCount(before) && isCount(now)) return now.ballots < before.ballots * left;
  return isCount(before) || (!isCount(now) && before.status === now.status);
}

/** Show the vote that this voter has cast, or that there is none. @param {Headers} headers */
export async function recall(headers) {
  const poll = shown();
  if (asksCode() && !code()) return; // nobody to ask for
  const asking = { ...(await headers()), ...codeHeaders() };
  const { status, body } = await call("GET", root.dataset.vote ?? "", { headers: asking });
  const { fill } = await kind;
  if (poll !== shown() || isSending()) return; // what is under way says more than this
  // A voter of an open poll is not known: there is nobody to ask for.
  if (status === 401 || (status === 200 && !body.voted && !body.withdrawn)) return own.forget();
  if (status !== 200) return;
  if (body.choices) fill(form, body);
  own.showOwn({ receipt: body.receipt ?? own.kept(poll)?.receipt, withdrawn: body.withdrawn });
  settle();
}

/** Return what became of a vote by its answer. @param {Vote} vote @param {any} body @returns {own.Own} */
function become({ method, ballot, secret }, body) {
  if (method === "DELETE" || body?.withdrawn) return { withdrawn: true };
  return { receipt: body.receipt, ballot: secret || body.replaced ? undefined : ballot };
}

/** Send a vote, and show what came of it where its poll is shown. @param {Vote} vote @param {Headers} headers */
async function cast(vote, headers) {
  const here = () => shown() === vote.poll;
  if (here()) {
    root.dataset.sending = "yes";
    complain("");
    tell(say("sending"));
    settle();
  }
  const answer = await send(vote, headers, () => here() && tell(say("retrying"), true));
  if (!answer) return;
  const { body } = answer;
  if (isCounted(answer)) own.keepOwn(vote.poll, become(vote, body));
  if (!here()) {
    if (!isCounted(answer)) tell(`${vote.title}: ${own.why(body?.code)}`, true);
    return;
  }
  delete root.dataset.sending;
  if (isCounted(answer)) {
    own.renewKey();
    own.showOwn(become(vote, body));
    if (body?.replaced) await recall(headers);
    if (body?.results) draw(body.results);
    if (asksCode() && root.dataset.followsVotes === "yes") follow?.live.again();
  } else await refuse(vote, body?.code, headers);
  settle();
}

/** Tell why a vote was not taken. @param {Vote} vote @param {string} refusal @param {Headers} headers */
async function refuse(vote, refusal, headers) {
  if (refusal === "already_voted" || refusal === "no_vote") {
    await recall(headers);
    if (shown() === vote.poll && !own.hasWithdrawn()) tell(own.why(refusal), true);
  } else if (vote.code !== undefined && ["code_invalid", "too_many"].includes(refusal)) {
    tell("");
    settle();
    complain(refusal === "too_many" ? say("guessed") : own.why(refusal));
  } else tell(own.why(refusal), true);
}

/**
 * Turn to what an event shows. @param {import("./lib/live.js").Event} event
 * @param {typeof import("./parts/question.js")} turns  the page
 * @param {any} ballot  of the question's kind @param {Headers} headers
 */
function take(event, { isShown, needsServer, turn }, ballot, headers) {
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
  if (!same) writeCode("");
  // A poll that is changed while it is shown may have told its status before this.
  if (same && last) draw(last);
  else last = null;
  settle();
  if (inside) element("title").focus({ preventScroll: true });
  const known = own.kept(shown());
  const left = remember(`pending.${shown()}`);
  ballot.fill(form, known?.ballot ?? left?.ballot ?? marks);
  if (known) {
    own.showOwn(known);
    settle();
    soon(() => hasVoted() && recall(headers)); // it may have been reset meanwhile
  }
  if (left) {
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

/** What each button of the form asks for. @type {Record<string, Vote["method"]>} */
const METHODS = { cast: "POST", replace: "PUT", withdraw: "DELETE" };

/** Send what a button of the form says. @param {SubmitEvent} event @param {any} ballot @param {Headers} headers */
function submit(event, ballot, headers) {
  event.preventDefault();
  const pressed = /** @type {HTMLButtonElement | null} */ (event.submitter ?? document.getElementById("vote"));
  const method = METHODS[pressed?.value ?? ""] ?? "POST";
  const wrong = method !== "DELETE" && ballot.problem(form, Number(root.dataset.min), Number(root.dataset.max));
  if (asksCode() && !code()) return complain(say("no_code"));
  if (wrong) return tell(wrong, true);
  const { value: key } = /** @type {HTMLInputElement} */ (form.elements.namedItem("key"));
  const title = element("title").textContent ?? "";
  const vote = { poll: shown(), title, key, method, ballot: ballot.read(form), secret: own.isSecret() };
  cast(asksCode() ? { ...vote, code: code() } : vote, headers);
}

/** Show what this tab knows of the poll that the page came with. @param {any} ballot */
function begin(ballot) {
  const before = own.kept(shown());
  if (asksCode()) {
    // No cookie knows who holds a code.
    if (takeCode()) own.keepOwn(shown(), null);
    else if (before) {
      ballot.fill(form, before.ballot ?? {});
      own.showOwn(before);
      settle();
    }
  } else if (hasVoted()) {
    // The server knows better than the tab, but the receipt of a secret vote.
    const receipt = notice.querySelector("code")?.textContent ?? before?.receipt ?? "";
    own.keepOwn(shown(), { receipt, ballot: own.isSecret() ? undefined : ballot.read(form) });
    if (receipt && !notice.querySelector("code")) own.showOwn({ receipt });
  } else own.keepOwn(shown(), own.hasWithdrawn() ? { withdrawn: true } : null);
}

/** Go on with votes that were on their way when the page was left. @param {any} ballot @param {Headers} headers */
function goOn(ballot, headers) {
  for (const poll of remembered("pending.")) {
    const vote = remember(`pending.${poll}`);
    const here = poll === shown();
    if (here && hasVoted() && (vote?.method ?? "POST") === "POST" && !asksCode()) keep(`pending.${poll}`, null);
    else if (vote) {
      if (here) ballot.fill(form, vote.ballot);
      if (here && vote.code) writeCode(vote.code);
      cast(vote, headers);
    }
  }
}

/**
 * Bring the page to life.
 * @param {Headers} headers @param {() => Promise<string>} [ticket]  for a voter without a cookie
 */
export async function start(headers, ticket) {
  const [ballot, turns] = await Promise.all([kind, turning]);
  form.noValidate = true; // the notice says it where the thumb is
  form.addEventListener("submit", (event) => submit(event, ballot, headers));
  form.addEventListener("change", ({ target }) => {
    if (hasVoted() && element("inputs").contains(/** @type {Node} */ (target))) tell(say("unsent"));
  });
  document.getElementById("another")?.addEventListener("click", (event) => {
    event.preventDefault();
    own.startAnew();
    ballot.fill(form, {});
    document.getElementById("code")?.focus();
  });
  addEventListener("hashchange", () => {
    if (!isSending() && takeCode()) own.forget();
  });
  addEventListener("polls:reset", () => hasVoted() && soon(() => hasVoted() && recall(headers)));
  begin(ballot);
  follow = new Follow(places(), {
    onState: draw,
    onConnection: showConnection,
    onEvent: turns ? (event) => take(event, turns, ballot, headers) : undefined,
    ticket: async () => (asksCode() ? codeTicket(() => follow?.live.again()) : ticket?.()),
    headers: async () => ({ ...(await headers()), ...(hasVoted() ? codeHeaders() : {}) }),
  });
  goOn(ballot, headers);
}
