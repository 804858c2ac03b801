// @ts-check
// Texts and numbers in the reader's language. The server writes the texts into the page as data.

const texts = JSON.parse(document.getElementById("texts")?.textContent ?? "{}");
const language = document.documentElement.lang || "en";
const numbers = new Intl.NumberFormat(language);
const shares = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 0 });
const plural = new Intl.PluralRules(language);

/** Return a text, or a table of texts, by its name. @param {string} name */
export const text = (name) => texts[name];

/**
 * Return a text with its {places} filled.
 * @param {string} name @param {Record<string, string | number>} [values]
 */
export function say(name, values = {}) {
  return String(texts[name]).replace(/{(\w+)}/g, (_, place) => format(values[place]));
}

/** Return a text in the form that goes with a number. @param {string} name @param {number} n */
export function count(name, n) {
  const forms = texts[name];
  return (forms[plural.select(n)] ?? forms.other).replace("{n}", numbers.format(n));
}

/** Return several names as one phrase. @param {string[]} names */
export function list(names) {
  return new Intl.ListFormat(language, { type: "conjunction" }).format(names);
}

/** @param {number} share  0 to 1 */
export const percent = (share) => shares.format(share);

/** @param {string | number | undefined} value */
export function format(value) {
  return typeof value === "number" ? numbers.format(value) : String(value ?? "");
}

/** Return a time of day. @param {number} ms  since 1970 */
export function clock(ms) {
  return new Date(ms).toLocaleTimeString(language, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}
