// @ts-check
// What this tab remembers over a reload, where the browser lets it.

const PREFIX = "polls.";

/** @param {string} name @returns {any} */
export function recall(name) {
  try {
    return JSON.parse(sessionStorage.getItem(PREFIX + name) ?? "null");
  } catch {
    return null; // storage is switched off, or holds what is not ours
  }
}

/** @param {string} name @param {unknown} value  null to forget it */
export function keep(name, value) {
  try {
    if (value === null) sessionStorage.removeItem(PREFIX + name);
    else sessionStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // it is remembered for as long as the page stands
  }
}

/** Return the names that begin so, without their beginning. @param {string} beginning */
export function remembered(beginning) {
  try {
    const all = Object.keys(sessionStorage).filter((name) => name.startsWith(PREFIX + beginning));
    return all.map((name) => name.slice(PREFIX.length + beginning.length));
  } catch {
    return [];
  }
}
