// @ts-check
// The form of a poll: answers are added, removed and moved here, without a way to the server.
// Without it the same buttons send the form, and the server does it.
import { localiseFields } from "./lib/times.js";
import { say } from "./lib/words.js";

localiseFields();
const form = /** @type {HTMLFormElement} */ (document.getElementById("poll-form"));
const list = /** @type {HTMLOListElement} */ (form.querySelector("#answers ol"));
const kind = /** @type {HTMLSelectElement} */ (form.elements.namedItem("kind"));
const numbers = /** @type {HTMLElement} */ (form.querySelector("#numbers"));
const FEWEST = 2;

/** @param {Element} row @returns {HTMLInputElement} */
const field = (row) => /** @type {HTMLInputElement} */ (row.querySelector("input"));

/** Give each answer its number, where it is spoken of. */
function number() {
  [...list.children].forEach((row, place) => {
    const id = `answer-${place + 1}`;
    field(row).id = id;
    const label = /** @type {HTMLLabelElement} */ (row.querySelector("label"));
    label.htmlFor = id;
    label.textContent = say("answer", { n: place + 1 });
    for (const button of row.querySelectorAll("button")) {
      const what = button.dataset.do ?? "";
      button.value = `${what}-${place}`;
      button.setAttribute("aria-label", say(what, { n: place + 1 }));
    }
  });
}

/** @param {string} word @param {Record<string, string | number>} [values] */
function tell(word, values) {
  const said = document.getElementById("answers-said");
  if (said) said.textContent = say(word, values);
}

/** @param {Element} row  cleared, and with nothing said against it */
function clear(row) {
  field(row).value = "";
  field(row).removeAttribute("aria-invalid");
  field(row).removeAttribute("aria-describedby");
  row.querySelector(".errorlist")?.remove();
}

function add() {
  const row = /** @type {HTMLElement} */ (/** @type {Element} */ (list.lastElementChild).cloneNode(true));
  clear(row);
  list.append(row);
  number();
  field(row).focus();
}

/** @param {Element} row */
function remove(row) {
  const next = row.nextElementSibling ?? row.previousElementSibling;
  if (list.children.length > FEWEST) row.remove();
  else clear(row);
  number();
  if (next) field(next).focus();
  tell("removed");
}

/** @param {Element} row */
function moveUp(row) {
  row.previousElementSibling?.before(row);
  number();
  field(row).focus();
  tell("moved", { n: [...list.children].indexOf(row) + 1, of: list.children.length });
}

form.addEventListener("click", (event) => {
  const button = /** @type {HTMLElement} */ (event.target).closest("button[data-do]");
  if (!(button instanceof HTMLButtonElement)) return;
  event.preventDefault();
  const row = button.closest("li");
  if (!row) add();
  else if (button.dataset.do === "up") moveUp(row);
  else remove(row);
});

// Enter goes to the next answer, as in a list; after the last it begins another.
list.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.isComposing || !(event.target instanceof HTMLInputElement)) return;
  event.preventDefault();
  const next = event.target.closest("li")?.nextElementSibling;
  if (next) field(next).focus();
  else if (event.target.value.trim()) add();
});

function showNumbers() {
  numbers.hidden = kind.value === "single";
}

kind.addEventListener("change", showNumbers);
showNumbers();

const identity = /** @type {HTMLSelectElement} */ (form.elements.namedItem("identity"));
const cap = /** @type {HTMLInputElement} */ (form.elements.namedItem("network_cap"));

/** A number that stands where it cannot be stays in sight: it is told what is wrong with it. */
function showCap() {
  const network = /** @type {HTMLElement} */ (form.querySelector("#network"));
  network.hidden = identity.value !== "device" && !cap.value;
}

identity.addEventListener("change", showCap);
showCap();
