// @ts-check
// The live part of a poll's page. Without it the page works and shows the count of its loading.

/** @typedef {{type: string, seq?: number, status?: string, ballots?: number, code?: string,
 *   options?: {id: string, votes: number}[]}} Frame */

const RETRY_MOST_MS = 15_000;
// Errors that coming back does not mend; any other may pass.
const LASTING = ["authentication_required", "malformed", "not_found", "results_hidden"];
const root = /** @type {HTMLElement} */ (document.getElementById("poll"));
const sees = root.dataset.visible === "yes";

let seq = /** @type {number | undefined} */ (undefined);
let failures = 0;
let over = false;

/** @param {string} id @param {unknown} text */
function show(id, text) {
  const element = document.getElementById(id);
  if (element) element.textContent = String(text);
}

/** @param {Frame} frame */
function apply(frame) {
  if (frame.status !== undefined && frame.status !== document.getElementById("status")?.textContent) {
    // The form and its buttons follow the status: the server draws them anew.
    show("status", frame.status);
    if (!document.activeElement?.closest("form")) location.reload();
  }
  if (frame.options === undefined) return;
  if (!sees) return location.reload();
  seq = frame.seq;
  show("ballots", frame.ballots);
  const most = Math.max(...frame.options.map((option) => option.votes), 1);
  for (const { id, votes } of frame.options) {
    const row = root.querySelector(`[data-option="${id}"]`);
    const bar = row?.querySelector("progress");
    const output = row?.querySelector("output");
    if (bar) bar.value = votes / most;
    if (output) output.textContent = String(votes);
  }
}

function connect() {
  const url = new URL(root.dataset.live ?? "", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  if (!sees) url.searchParams.set("view", "status");
  if (seq !== undefined) url.searchParams.set("since", String(seq));
  const socket = new WebSocket(url);
  socket.onmessage = (message) => {
    const frame = /** @type {Frame} */ (JSON.parse(message.data));
    over ||= frame.type === "closed" || LASTING.includes(frame.code ?? "");
    if (frame.type === "error") return;
    failures = 0;
    show("connection", "· live");
    apply(frame);
  };
  socket.onclose = () => {
    if (over) return show("connection", "");
    show("connection", "· reconnecting");
    // Full jitter: a hall of phones does not come back in the same instant.
    const most = Math.min(RETRY_MOST_MS, 500 * 2 ** failures++);
    setTimeout(connect, Math.random() * most);
  };
}

connect();
