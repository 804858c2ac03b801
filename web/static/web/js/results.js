// @ts-check
// The page of live results. Without it the page shows the count of its loading, and loads again.
import { Follow } from "./lib/follow.js";
import { say } from "./lib/words.js";
import { follower } from "./parts/event.js";
import { History } from "./parts/history.js";
import { element, isCount, names, places, root, show, showConnection, showCount, showStatus, write } from "./parts/page.js";
import { slowly, summary } from "./parts/summary.js";

const options = names();
const history = new History({ chart: element("chart"), table: element("history-table") }, options);
const tell = slowly((text) => write("said", text));
let ballots = 0;

/** @param {import("./lib/live.js").State} state */
function draw(state) {
  if (state.status !== root.dataset.status) showStatus(state.status);
  const counts = isCount(state);
  show("shown", counts);
  show("hidden", !counts);
  if (!counts) return;
  showCount(state);
  const words = summary(state, options);
  write("summary", words);
  tell(words);
  if (root.dataset.read !== "yes") {
    root.dataset.read = "yes";
    history.load(root.dataset.timeline ?? "");
  } else {
    if (state.ballots < ballots) history.clear(); // it was reset after a rehearsal
    history.add(state);
  }
  ballots = state.ballots;
}

setInterval(() => {
  write("pace", root.dataset.status === "open" ? say("pace", { n: history.pace() }) : "");
}, 1_000);

new Follow(places(), { onState: draw, onConnection: showConnection, onEvent: follower(2_000) });
