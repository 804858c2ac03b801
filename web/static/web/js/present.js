// @ts-check
// The big screen: the same count by the same modules as the results page, and keys to run the poll.
import { call } from "./lib/http.js";
import { Follow } from "./lib/follow.js";
import { say } from "./lib/words.js";
import { follower } from "./parts/event.js";
import { element, isCount, names, places, root, show, showConnection, showCount, showStatus, write } from "./parts/page.js";
import { slowly, summary } from "./parts/summary.js";

const AGAIN_MS = 4_000;
const options = names();
const tell = slowly((text) => write("said", text));
const csrf = /** @type {HTMLInputElement | null} */ (root.querySelector("[name=csrfmiddlewaretoken]"));
const board = /** @type {HTMLElement} */ (root.querySelector(".board table"));
let veiled = root.dataset.secretive === "yes";
let closing = 0; // until when a second press closes

/** @param {import("./lib/live.js").State} state */
function draw(state) {
  if (state.status !== root.dataset.status) showStatus(state.status);
  const counts = isCount(state);
  root.dataset.shown = counts ? "yes" : "no";
  if (counts) {
    showCount(state);
    if (!veiled) tell(summary(state, options));
  }
  settle();
}

/** Show what there is to see, and the controls that do something now. */
function settle() {
  const shown = root.dataset.shown === "yes";
  root.classList.toggle("veiled", veiled || !shown);
  show("hidden", !shown || veiled);
  if (shown && veiled) write("hidden", say("hidden"));
  show("ballots", shown);
  const hide = /** @type {HTMLElement | null} */ (control("hide"));
  const words = hide?.querySelector("span");
  if (words) words.textContent = say(veiled ? "reveal" : "hide");
  if (hide) hide.hidden = !shown;
  const status = root.dataset.status;
  control("open")?.toggleAttribute("hidden", !["draft", "scheduled"].includes(status ?? ""));
  control("close")?.toggleAttribute("hidden", !["open", "scheduled"].includes(status ?? ""));
}

/** @param {string} name @returns {HTMLButtonElement | null} */
const control = (name) => root.querySelector(`[data-do="${name}"]`);

/** Move the poll on, as its owner. @param {"open" | "close"} step */
async function move(step) {
  const path = `${root.dataset.self}${step}/`;
  const { status, body } = await call("POST", path, { headers: { "X-CSRFToken": csrf?.value ?? "" } });
  if (status === 200) {
    showStatus(body.status);
    write("notice", "");
    settle();
  } else write("notice", say("failed", { why: body?.title ?? say("offline") }));
}

/** Show another poll of the event. @param {"next" | "previous"} which */
async function turn(which) {
  const { status, body } = await call("PATCH", root.dataset.event ?? "", {
    body: { current: control(which)?.dataset.poll },
    headers: { "X-CSRFToken": csrf?.value ?? "" },
  });
  if (status !== 200) write("notice", say("failed", { why: body?.title ?? say("offline") }));
}

const DO = {
  next: () => turn("next"),
  previous: () => turn("previous"),
  open: () => move("open"),
  close() {
    if (Date.now() < closing) {
      closing = 0;
      return move("close");
    }
    closing = Date.now() + AGAIN_MS;
    write("notice", say("close_again"));
    setTimeout(() => closing && Date.now() >= closing && write("notice", ""), AGAIN_MS);
  },
  hide() {
    veiled = !veiled;
    settle();
  },
  full: () => (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen()),
  theme() {
    const dark = getComputedStyle(document.documentElement).colorScheme === "dark";
    const asked = document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    document.documentElement.dataset.theme = dark || asked === "dark" ? "light" : "dark";
  },
};

/** @param {string} name */
function act(name) {
  const button = control(name);
  if (button && !button.hidden) /** @type {Record<string, () => unknown>} */ (DO)[name]();
}

root.addEventListener("click", ({ target }) => {
  const button = target instanceof Element && target.closest("[data-do]");
  if (button instanceof HTMLElement) act(button.dataset.do ?? "");
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const button = root.querySelector(`[aria-keyshortcuts="${event.key.toLowerCase()}"]`);
  if (button instanceof HTMLElement) {
    event.preventDefault();
    act(button.dataset.do ?? "");
  }
});

/** Keep the screen awake, where the browser can (not on plain HTTP). */
async function stayAwake() {
  if (document.visibilityState !== "visible") return;
  await navigator.wakeLock?.request("screen").catch(() => {}); // a low battery refuses
}
document.addEventListener("visibilitychange", stayAwake);
stayAwake();

settle();
new Follow(places(), { onState: draw, onConnection: showConnection, onEvent: follower(0) });
