// @ts-check
// What a poll's rules prevent and what they do not, in words.
import { say, text } from "../lib/words.js";

/** @typedef {{ identity: string, network_cap: number | null, secrecy: string,
 *   allow_change: boolean }} Rules */

/** Return the same as the server writes into a page. @param {Rules} poll */
export function rules({ identity, network_cap: cap, secrecy, allow_change: changes }) {
  const said = [text("identity")[identity]];
  if (cap !== null) said.push(say("network_cap", { n: cap }));
  if (identity !== "open" || secrecy === "secret") said.push(text("secrecy")[secrecy]);
  if (changes) said.push(say("changes"));
  return said.join(" ");
}
