// @ts-check
// What a count says in a sentence: who leads, and by how much. Said slowly to screen readers.
import { list, say } from "../lib/words.js";

const EVERY_MS = 5_000;

/**
 * Return the sentence for a count.
 * @param {import("../lib/live.js").Count} count @param {Map<string, string>} names
 */
export function summary({ ballots, options, status }, names) {
  const ranked = [...options].sort((a, b) => b.votes - a.votes);
  const [first, second] = ranked;
  if (!first?.votes) return say("none");
  const level = ranked.filter((option) => option.votes === first.votes);
  const name = (/** @type {{ id: string }} */ option) => names.get(option.id) ?? "";
  if (level.length > 1) return say("level", { names: list(level.map(name)), votes: first.votes });
  if (!second.votes) return say("alone", { leader: name(first), votes: first.votes });
  return say(status === "closed" ? "won" : "leads", {
    leader: name(first),
    votes: first.votes,
    ballots,
    margin: first.votes - second.votes,
    second: name(second),
  });
}

/**
 * Return a function that passes the latest text on, the first at once and then none sooner than
 * after some seconds: a screen reader reads each to its end.
 * @param {(text: string) => void} tell
 */
export function slowly(tell, ms = EVERY_MS) {
  let latest = "";
  /** @type {ReturnType<typeof setTimeout> | undefined} */ let timer;
  const pass = () => {
    const said = latest;
    tell(said);
    timer = setTimeout(() => {
      timer = undefined;
      if (latest !== said) pass();
    }, ms);
  };
  return (/** @type {string} */ text) => {
    latest = text;
    if (timer === undefined) pass();
  };
}
