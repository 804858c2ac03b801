// Follows a poll by web/static/web/js/lib/live.js and prints what it is told, a JSON object a line.
// Its one argument says how; with `polls` it follows those on one socket; with `vectors`, a file, it gives the values of the pure functions.
import { readFileSync } from "node:fs";
import { Many } from "../../web/static/web/js/lib/many.js";
import { LASTING, Live, apply, delay } from "../../web/static/web/js/lib/live.js";

const say = (thing) => console.log(JSON.stringify(thing));
const { url, polls, silence, ticket, tickets, vectors } = JSON.parse(process.argv[2]);

async function fetchTicket() {
  if (ticket) return ticket;
  const { url, headers, body } = tickets;
  const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
  return (await answer.json()).ticket;
}

function statesOf(frames) {
  let state = null;
  return frames.map((frame) => (state = apply(state, frame)));
}

if (vectors) {
  const { lists, delays, samples } = JSON.parse(readFileSync(vectors, "utf8"));
  say({
    states: lists.map(statesOf),
    delays: delays.map(([failures, chance]) => delay(failures, chance) / 1000),
    samples: samples.map(([failures, count]) => Array.from({ length: count }, () => delay(failures) / 1000)),
    lasting: LASTING,
  });
} else if (polls) {
  let last;
  new Many(url, polls, {
    onState: (state) => say({ state }),
    onConnection: (connection) => connection !== last && say({ connection: (last = connection) }),
  });
} else {
  const live = new Live(url, {
    onState: (state) => say({ state }),
    onConnection: (connection, code) => connection === "over" && say({ over: code }),
    silenceMs: silence && silence * 1000,
    ticket: (ticket || tickets) && fetchTicket,
  });
  process.on("SIGTERM", () => live.close());
}
