// @ts-check
// What the page knows of its voter's vote, how it says so, and what can be done with it.
import { keep, recall as remember } from "../lib/memory.js";
import { newKey } from "../lib/sending.js";
import { say, text } from "../lib/words.js";
import { asksCode, showCode, writeCode } from "./code.js";
import { element, root, show } from "./page.js";

/** @typedef {{ receipt?: string, ballot?: any, withdrawn?: boolean }} Own */

export const form = /** @type {HTMLFormElement} */ (element("ballot"));
export const notice = element("notice");

export const shown = () => root.dataset.poll ?? "";
export const hasVoted = () => root.dataset.voted === "yes";
export const isSending = () => root.dataset.sending === "yes";
export const hasWithdrawn = () => root.dataset.withdrawn === "yes";
const mayChange = () => root.dataset.change === "yes";
export const isSecret = () => root.dataset.secrecy === "secret";

/** @param {string} words @param {boolean} [bad] */
export function tell(words, bad = false) {
  notice.classList.toggle("problem", bad);
  if (notice.textContent !== words) notice.textContent = words; // or it would be read out again
}

/** Let the form be filled in, or not; whoever was in it goes on from the notice. */
export function settle() {
  const open = root.dataset.status === "open" && !isSending();
  const fillable = open && (!hasVoted() || mayChange());
  const inside = form.contains(document.activeElement);
  /** @type {HTMLFieldSetElement} */ (form.querySelector("fieldset")).disabled = !fillable;
  show("vote", fillable);
  const button = /** @type {HTMLButtonElement | null} */ (document.getElementById("vote"));
  if (button) {
    button.value = hasVoted() || hasWithdrawn() ? "replace" : "cast";
    const words = say(hasVoted() && mayChange() ? "change" : "vote");
    if (button.textContent !== words) button.textContent = words;
  }
  const unknown = asksCode() && !hasVoted() && !hasWithdrawn();
  show("replace", open && mayChange() && unknown);
  show("withdraw", open && mayChange() && (hasVoted() || unknown));
  show("another", asksCode() && !isSending() && (hasVoted() || hasWithdrawn()));
  showCode(asksCode() && (!hasVoted() || mayChange()), open);
  const seen = document.activeElement?.checkVisibility?.() ?? true;
  if (inside && (!fillable || !seen)) notice.focus({ preventScroll: true });
}

/** @param {string} receipt */
function thank(receipt) {
  tell(say(receipt || !isSecret() ? "counted" : "voted"));
  if (!receipt) return;
  const code = document.createElement("code");
  code.textContent = receipt;
  notice.append(` ${say("receipt")} `, code);
}

/** Show what became of the voter's vote. @param {Own} own */
export function showOwn({ receipt = "", withdrawn = false }) {
  root.dataset.voted = withdrawn ? "no" : "yes";
  root.dataset.withdrawn = withdrawn ? "yes" : "no";
  if (withdrawn) tell(say("withdrawn"));
  else thank(receipt);
  /** @type {HTMLDetailsElement | null} */ (document.getElementById("withdraw"))?.removeAttribute("open");
}

/** Remember for this tab what became of a vote; no code is. @param {string} poll @param {Own | null} own */
export const keepOwn = (poll, own) => keep(`voted.${poll}`, own);

/** @param {string} poll @returns {Own | null} */
export const kept = (poll) => remember(`voted.${poll}`);

/** Forget a vote that does not stand any more: the poll was reset after a rehearsal. */
export function forget() {
  keepOwn(shown(), null);
  if (!hasVoted() && !hasWithdrawn()) return;
  root.dataset.voted = root.dataset.withdrawn = "no";
  tell("");
  settle();
}

/** Let the next vote have a key of its own. */
export function renewKey() {
  /** @type {HTMLInputElement} */ (form.elements.namedItem("key")).value = newKey();
}

/** Make room for whoever holds another code. */
export function startAnew() {
  forget();
  renewKey();
  writeCode("");
}

/** Return what a person is told of a refusal. @param {string | undefined} code */
export const why = (code) => text("refused")[code ?? ""] ?? say("failed");
