// @ts-check
// Draw the ballot of whichever poll an event shows, from what its socket tells: a hall of phones
// turns to the next question without asking for anything.
import { newKey } from "../lib/sending.js";
import { text } from "../lib/words.js";
import { element, root, show, write } from "./page.js";
import { rules } from "./rules.js";

/** @typedef {import("../ballots/choices.js").Question & { poll: string, revision: number, title: string,
 *   description: string, results_visibility: string } & import("./rules.js").Rules} Question */

/** Whether a page cannot turn to a question by itself: logging in needs the server. */
export const needsServer = (/** @type {Question | null} */ question) =>
  !document.getElementById("vote") || (question?.identity === "account" && root.dataset.signedIn !== "yes");

/** Whether the page shows a question as it stands. @param {Question} question */
export const isShown = ({ poll, revision }) =>
  root.dataset.poll === poll && root.dataset.revision === `${revision}`;

/**
 * Turn the page to a question, or to nothing. The form is disabled until its status is known.
 * @param {import("../lib/live.js").Event} event
 * @param {{ draw: Function, rule: Function }} ballot  of the question's kind
 */
export function turn({ title, current }, ballot) {
  const form = /** @type {HTMLFormElement} */ (element("ballot"));
  const question = /** @type {Question | null} */ (current);
  form.hidden = !question;
  for (const [id, shown] of Object.entries({ nothing: !question, event: question, status: question })) {
    show(id, !!shown);
  }
  write("event", title);
  write("title", question?.title ?? title);
  document.title = question?.title ?? title;
  write("description", question?.description ?? "");
  show("description", !!question?.description);
  for (const when of root.querySelectorAll(".when")) when.remove();
  for (const id of ["ballots", "results"]) show(id, false);
  write("hidden", text("hidden_because")[question?.results_visibility ?? ""] ?? "");
  write("rules", question ? rules(question) : "");
  const { dataset } = root;
  dataset.poll = question?.poll ?? "";
  dataset.revision = `${question?.revision ?? ""}`;
  dataset.status = "";
  dataset.voted = dataset.withdrawn = dataset.shown = "no";
  dataset.identity = question?.identity ?? "";
  dataset.secrecy = question?.secrecy ?? "";
  dataset.change = question?.allow_change ? "yes" : "no";
  dataset.followsVotes = question?.results_visibility === "after_vote" ? "yes" : "no";
  if (!question) return;
  dataset.self = `/api/v1/polls/${question.poll}/`;
  dataset.vote = `${dataset.self}votes/`;
  dataset.results = `${dataset.self}results/`;
  dataset.min = `${question.min_selections}`;
  dataset.max = `${question.max_selections}`;
  ballot.draw(element("inputs"), question);
  write("rule", ballot.rule(question));
  for (const [name, value] of Object.entries({ poll: question.poll, key: newKey() })) {
    /** @type {HTMLInputElement} */ (form.elements.namedItem(name)).value = value;
  }
}
