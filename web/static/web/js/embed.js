// @ts-check
// A poll in a frame of somebody else's page. A browser sends no cookie along there, so the voter's
// token is kept in script and sent in a header.
import { recall, start } from "./ballot.js";
import { call, mayPass, pause, withoutCookies } from "./lib/http.js";
import { delay } from "./lib/live.js";
import { asksCode } from "./parts/code.js";
import { root } from "./parts/page.js";

const KEPT = "polls.voter";

/** @returns {string | null} */
function kept() {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    return null; // storage is switched off for frames: a voter for as long as the page stands
  }
}

/** @returns {Promise<string>} */
async function draw() {
  for (let failures = 0; ; failures += 1) {
    const { status, body } = await call("POST", "/api/v1/voters/");
    if (status === 201) {
      try {
        localStorage.setItem(KEPT, body.token);
      } catch {
        // the same
      }
      return body.token;
    }
    if (!mayPass(status)) throw new Error(`No voter token: ${status}`);
    await pause(500 + delay(failures));
  }
}

/** @type {Promise<string> | undefined} */ let token;

/** Return the kept token where the service still takes it, else a new one. @returns {Promise<string>} */
async function find() {
  const old = kept();
  if (!old) return draw();
  const { body } = await call("GET", root.dataset.vote ?? "", { headers: { "X-Voter-Token": old } });
  return body?.code === "voter_token_invalid" ? draw() : old;
}

async function headers() {
  if (asksCode()) return {}; // it is the voter
  token ??= find();
  token.catch(() => (token = undefined)); // and the next one asks anew
  return { "X-Voter-Token": await token };
}

async function ticket() {
  const { status, body } = await call("POST", "/api/v1/live-tickets/", {
    body: { polls: [root.dataset.poll] },
    headers: await headers(),
  });
  return status === 201 ? body.ticket : "";
}

withoutCookies();
new ResizeObserver(() => {
  parent.postMessage({ type: "polls:height", height: document.documentElement.offsetHeight }, "*");
}).observe(document.body);

if (kept() && !asksCode()) recall(headers);
// Only where a vote opens the results does the socket need to know whose it is.
start(headers, root.dataset.followsVotes === "yes" ? ticket : undefined);
