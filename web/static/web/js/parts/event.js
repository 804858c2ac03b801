// @ts-check
// Pages that are loaded anew when their event shows another poll: those that few people look at.
import { Follow } from "../lib/follow.js";
import { places, root, showConnection } from "./page.js";

/**
 * Return what is done with what an event tells, undefined where the page is of a poll alone.
 * @param {number} withinMs  everybody's page is loaded anew some time within this
 */
export function follower(withinMs) {
  if (!root.dataset.event) return undefined;
  return (/** @type {import("../lib/live.js").Event} */ { current }) => {
    if ((current?.poll ?? "") === root.dataset.poll) return;
    setTimeout(() => location.reload(), Math.random() * withinMs);
  };
}

/** Wait on a page that has no poll. */
export function wait() {
  new Follow(places(), {
    onState: () => {},
    onConnection: showConnection,
    onEvent: follower(1_000),
  });
}
