// @ts-check
// The desk: counts and states as they move, times by the reader's clock, and texts to copy.
// Without it the desk works and shows what was so when it was loaded.
import { Many } from "./lib/many.js";
import { localise } from "./lib/times.js";
import { count, format, text } from "./lib/words.js";

localise();

// -- what moves -------------------------------------------------------------------------------

const polls = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-poll]"));
const places = new Map([...polls].map((place) => [place.dataset.poll ?? "", place]));

/** @param {import("./lib/live.js").State} state @param {string} poll */
function draw(state, poll) {
  const place = /** @type {HTMLElement} */ (places.get(poll));
  const badge = /** @type {HTMLElement} */ (place.querySelector(".status"));
  badge.dataset.word = state.status;
  badge.textContent = text("statuses")[state.status];
  for (const action of place.querySelectorAll("[data-when]")) {
    const fits = action.getAttribute("data-when")?.split(" ").includes(state.status);
    /** @type {HTMLElement} */ (action).hidden = !fits;
  }
  if (!("options" in state)) return;
  const ballots = /** @type {HTMLElement} */ (place.querySelector(".ballots"));
  ballots.textContent = count("ballots", state.ballots);
  for (const { id, votes } of state.options) {
    const cell = place.querySelector(`[data-option="${id}"] .votes`);
    if (cell) cell.textContent = format(votes);
  }
}

const connection = document.getElementById("connection");

/** @param {import("./lib/live.js").Connection} word */
function tell(word) {
  if (!connection || connection.dataset.word === word) return;
  connection.hidden = word === "over";
  connection.dataset.word = word;
  connection.textContent = text("connection")[word];
}

if (places.size) {
  new Many(new URL("/ws/", location.href), [...places.keys()], { onState: draw, onConnection: tell });
}

// -- what is printed --------------------------------------------------------------------------

for (const button of /** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll("[data-print]"))) {
  button.hidden = false;
  button.addEventListener("click", () => print());
}

// -- what is copied ---------------------------------------------------------------------------

/** @param {HTMLElement} from @returns {Promise<void>} */
async function copy(from) {
  const words = from instanceof HTMLInputElement || from instanceof HTMLTextAreaElement ? from.value : from.textContent;
  try {
    await navigator.clipboard.writeText(words ?? "");
  } catch {
    // Without HTTPS a browser has no clipboard for scripts, but this old way.
    getSelection()?.selectAllChildren(from);
    if ("select" in from) /** @type {HTMLInputElement} */ (from).select();
    if (!document.execCommand("copy")) throw new Error("no clipboard");
  }
}

for (const button of /** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll("[data-copy]"))) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const from = document.getElementById(button.dataset.copy ?? "");
    const said = document.getElementById("said");
    const word = from && (await copy(from).then(() => "copied", () => "copy_failed"));
    if (said && word) said.textContent = button.textContent = text(word);
  });
}
