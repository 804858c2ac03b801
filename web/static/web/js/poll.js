// @ts-check
// The live part of a poll's page. Without it the page works and shows the count of its loading.
import { Live } from "./lib/live.js";

const root = /** @type {HTMLElement} */ (document.getElementById("poll"));
const sees = root.dataset.visible === "yes";
const WORDS = { live: "· live", reconnecting: "· reconnecting", over: "" };

/** @param {string} id @param {unknown} text */
function show(id, text) {
  const element = document.getElementById(id);
  if (element) element.textContent = String(text);
}

/** @param {import("./lib/live.js").State | null} state */
function draw(state) {
  if (state === null) return;
  if (state.status !== document.getElementById("status")?.textContent) {
    // The form and its buttons follow the status: the server draws them anew.
    show("status", state.status);
    if (!document.activeElement?.closest("form")) location.reload();
  }
  if (!("options" in state)) return;
  if (!sees) return location.reload();
  show("ballots", state.ballots);
  const most = Math.max(...state.options.map((option) => option.votes), 1);
  for (const { id, votes } of state.options) {
    const row = root.querySelector(`[data-option="${id}"]`);
    const bar = row?.querySelector("progress");
    const output = row?.querySelector("output");
    if (bar) bar.value = votes / most;
    if (output) output.textContent = String(votes);
  }
}

const url = new URL(root.dataset.live ?? "", location.href);
if (!sees) url.searchParams.set("view", "status");
new Live(url, {
  onState: draw,
  onConnection: (connection) => show("connection", WORDS[connection]),
});
