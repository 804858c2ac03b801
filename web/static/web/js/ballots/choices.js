// @ts-check
// A ballot of marks: radio buttons, or checkboxes between a least and a most.
import { say } from "../lib/words.js";

/** @param {HTMLFormElement} form */
function marked(form) {
  const inputs = /** @type {NodeListOf<HTMLInputElement>} */ (form.querySelectorAll("[name=choices]"));
  return [...inputs].filter((input) => input.checked);
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
