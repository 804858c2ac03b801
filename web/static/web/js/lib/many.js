// @ts-check
// Follow many polls on one socket. The protocol is told at /docs/protocol.
//
//   const many = new Many("https://polls.example.org/ws/", ids, { onState: console.log });
import { LASTING, apply, delay } from "./live.js";

/** @typedef {import("./live.js").State} State */
/**
 * @typedef {object} Options
 * @property {(state: State, poll: string) => void} onState  for each new state of a poll
 * @property {(connection: import("./live.js").Connection) => void} [onConnection]
 */

const SILENCE_MS = 35_000; // the server breaks a silence of 25 s by a heartbeat

/** Polls, each followed until it closes or is refused for good. */
export class Many {
  /** @type {Map<string, State | null>} */ #states; // of those that are followed still
  /** @type {WebSocket | undefined} */ #socket;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  #failures = 0;

  /** @param {string | URL} url @param {string[]} polls @param {Options} options */
  constructor(url, polls, options) {
    this.url = new URL(url);
    this.url.protocol = this.url.protocol.replace("http", "ws");
    this.options = options;
    this.#states = new Map(polls.map((poll) => [poll, null]));
    this.#connect();
  }

  #connect() {
    const socket = (this.#socket = new WebSocket(this.url));
    this.#expectFrame();
    socket.onopen = () => socket.send(JSON.stringify({ type: "subscribe", polls: this.#wanted() }));
    socket.onmessage = ({ data }) => this.#take(JSON.parse(data));
    socket.onclose = ({ code }) => (LASTING.includes(code) ? this.#end() : this.#comeBack());
  }

  /** Return what to subscribe to, each poll from where it was. */
  #wanted() {
    return [...this.#states].map(([poll, state]) => ({
      poll,
      view: "status",
      ...(state && "seq" in state ? { since: state.seq } : {}),
    }));
  }

  /** @param {import("./live.js").Frame & { poll?: string }} frame */
  #take(frame) {
    this.#expectFrame();
    this.#failures = 0;
    this.options.onConnection?.("live");
    const poll = "poll" in frame ? frame.poll : undefined;
    const before = poll === undefined ? undefined : this.#states.get(poll);
    if (poll === undefined || before === undefined) return;
    const state = apply(before, frame);
    this.#states.set(poll, state);
    if (state && state !== before) this.options.onState(state, poll);
    // Refused for good, or closed: there is nothing more to come.
    if (frame.type === "closed" || (frame.type === "error" && state === null)) this.#states.delete(poll);
    if (this.#states.size === 0) this.#end();
  }

  #expectFrame() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#comeBack(), SILENCE_MS);
  }

  #comeBack() {
    this.#letGo();
    this.#timer = setTimeout(() => this.#connect(), delay(this.#failures++));
    this.options.onConnection?.("reconnecting");
  }

  #end() {
    this.#letGo();
    this.options.onConnection?.("over");
  }

  #letGo() {
    clearTimeout(this.#timer);
    if (!this.#socket) return;
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
  }
}
