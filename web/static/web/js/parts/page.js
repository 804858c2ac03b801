// @ts-check
// What every page of a poll shows of it: the count of each option, its status, the connection.
import { count, format, percent, text } from "../lib/words.js";

/** @typedef {import("../lib/live.js").State} State */
/** @typedef {import("../lib/live.js").Count} Count */

/** Return an element that the server has written. @param {string} id */
export const element = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** The element that holds a poll, with its addresses in its data. */
export const root = element("poll");

/** Where the poll is reached. @returns {import("../lib/follow.js").Places} */
export const places = () => /** @type {any} */ (root.dataset);

/** @param {string} id @param {string} words */
export function write(id, words) {
  const found = document.getElementById(id);
  if (found && found.textContent !== words) found.textContent = words;
}

/** @param {string} id @param {boolean} shown */
export function show(id, shown) {
  const found = document.getElementById(id);
  if (found) found.hidden = !shown;
}

/** @param {string} word */
export function showStatus(word) {
  root.dataset.status = word;
  element("status").dataset.word = word;
  write("status", text("statuses")[word]);
}

/** @param {import("../lib/follow.js").Connection} word */
export function showConnection(word) {
  const badge = element("connection");
  badge.hidden = false;
  badge.dataset.word = word;
  write("connection", text("connection")[word]);
}

/** Whether a state has the count. @param {State} state @returns {state is Count} */
export const isCount = (state) => "options" in state;

/** Show a count in the rows of the options. @param {Count} state */
export function showCount({ ballots, options }) {
  root.dataset.shown = "yes";
  write("ballots", count("ballots", ballots));
  for (const { id, votes } of options) {
    const row = root.querySelector(`[data-option="${id}"]`);
    if (!row) continue;
    const share = ballots ? votes / ballots : 0;
    const cells = /** @type {NodeListOf<HTMLElement>} */ (row.querySelectorAll(".votes, .share"));
    for (const cell of cells) {
      cell.hidden = false;
      cell.textContent = cell.classList.contains("share") ? percent(share) : format(votes);
    }
    /** @type {SVGElement | null} */ (row.querySelector("rect"))?.style.setProperty(
      "transform",
      `scaleX(${share})`,
    );
  }
}

/** Return the texts of the options by their ids. @returns {Map<string, string>} */
export function names() {
  const rows = /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-option]"));
  return new Map(
    [...rows].map((row) => [
      row.dataset.option ?? "",
      row.querySelector("[dir=auto]")?.textContent ?? (row.querySelector("th")?.textContent || ""),
    ]),
  );
}
