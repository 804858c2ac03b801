// @ts-check
// A ballot of marks: radio buttons, or checkboxes between a least and a most.
import { say } from "../lib/words.js";

/** @typedef {{ kind: string, options: { id: string, text: string }[], min_selections: number,
 *   max_selections: number }} Question */

/** @param {HTMLFormElement} form */
function marked(form) {
  const inputs = /** @type {NodeListOf<HTMLInputElement>} */ (form.querySelectorAll("[name=choices]"));
  return [...inputs].filter((input) => input.checked);
}

/**
 * Draw the inputs of another poll, each from the page's own template.
 * @param {HTMLElement} place @param {Question} poll
 */
export function draw(place, { options, max_selections: most }) {
  const template = /** @type {HTMLTemplateElement} */ (document.getElementById("option"));
  const rows = options.map(({ id, text }) => {
    const row = /** @type {DocumentFragment} */ (template.content.cloneNode(true));
    /** @type {HTMLElement} */ (row.querySelector("[data-option]")).dataset.option = id;
    const input = /** @type {HTMLInputElement} */ (row.querySelector("input"));
    input.value = id;
    input.type = most > 1 ? "checkbox" : "radio";
    /** @type {HTMLElement} */ (row.querySelector("label span")).textContent = text;
    return row;
  });
  place.replaceChildren(...rows);
}

/** Return the sentence that says how many to choose. @param {Question} poll */
export function rule({ kind, options, min_selections: low, max_selections: high }) {
  const name = () => {
    if (kind === "single") return "one";
    if (kind === "approval" && low === 1 && high === options.length) return "approve";
    if (low === high) return "exactly";
    if (high < options.length) return low === 1 ? "up_to" : "between";
    return low > 1 ? "at_least" : "any";
  };
  return say(`rule_${name()}`, { n: high, low, high });
}

/** Return the ballot as the API takes it. @param {HTMLFormElement} form */
export const read = (form) => ({ choices: marked(form).map((input) => input.value) });

/**
 * Return what keeps the ballot from being sent, an empty text where nothing does.
 * @param {HTMLFormElement} form @param {number} least @param {number} most
 */
export function problem(form, least, most) {
  const n = marked(form).length;
  if (!n) return say("choose");
  if (n < least) return say("too_few", { n: least });
  return n > most ? say("too_many", { n: most }) : "";
}

/** Mark what a ballot says. @param {HTMLFormElement} form @param {{ choices?: string[] }} ballot */
export function fill(form, { choices = [] }) {
  const inputs = /** @type {NodeListOf<HTMLInputElement>} */ (form.querySelectorAll("[name=choices]"));
  for (const input of inputs) input.checked = choices.includes(input.value);
}
