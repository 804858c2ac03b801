// @ts-check
// Follow a poll live, in a browser or in Node 22 and newer. The protocol is told at /docs/protocol.
//
//   const live = new Live("https://polls.example.org/ws/polls/<id>/", { onState: console.log });
//   live.close();

/** @typedef {{ id: string, votes: number }} Option */
/** @typedef {{ poll: string, status: string, seq: number, ballots: number, options: Option[] }} Count */
/** @typedef {{ poll: string, status: string, opens_at: string | null, closes_at: string | null }} Status */
/** @typedef {Count | Status} State  what to show: the status alone where results are hidden */
/** @typedef {"live" | "reconnecting" | "over"} Connection */
/** @typedef {{ type: "event", seq: number, title: string, current: any }} Event  what is shown */
/** @typedef {{ type: "snapshot" | "tally" | "closed" } & Count | { type: "status" } & Status
 *   | { type: "error", code: string, detail: string } | Event
 *   | { type: "hello" | "heartbeat" | "pong" }} Frame */
/**
 * @typedef {object} Options
 * @property {(state: State | null) => void} onState  for each new state; null: nothing may be shown
 * @property {(connection: Connection, code?: number) => void} [onConnection]  the code once over
 * @property {(event: Event) => void} [onEvent]  for an event's socket, which ends with no poll
 * @property {() => Promise<string | undefined>} [ticket]  fetches a live ticket, if one is needed
 * @property {number} [silenceMs]  without any frame, after which a connection counts as dead
 */

const [BASE_MS, CAP_MS] = [500, 15_000];
const SILENCE_MS = 35_000; // the server breaks a silence of 25 s by a heartbeat
/** Close codes that coming back does not mend; after any other it may. */
export const LASTING = [1000, 1002, 1007, 1008, 1009, 4400, 4401, 4403, 4404];
const PASSING = ["too_many", "unavailable"];

/**
 * Return what to show after a frame. Frames are absolute: lost or doubled ones do no harm.
 * @param {State | null} state @param {Frame} frame @returns {State | null}
 */
export function apply(state, frame) {
  switch (frame.type) {
    case "tally":
      if (state && "seq" in state && state.seq >= frame.seq) return state;
    // falls through: a newer tally replaces what there is, as a snapshot always does
    case "snapshot":
    case "closed": {
      const { poll, status, seq, ballots, options } = frame;
      return { poll, status, seq, ballots, options };
    }
    case "status": {
      const { poll, status, opens_at, closes_at } = frame;
      return { poll, status, opens_at, closes_at };
    }
    case "error":
      return PASSING.includes(frame.code) ? state : null;
    default: // hello, heartbeat and pong change nothing, nor do types that are yet to come
      return state;
  }
}

/**
 * Return how many ms to wait after so many failures: all of it chance (full jitter), or thousands
 * who lost the same server would come back in the same instant. @param {number} failures
 */
export function delay(failures, chance = Math.random()) {
  return chance * Math.min(CAP_MS, BASE_MS * 2 ** failures);
}

/** One poll, followed until it closes, is refused for good, or `close()` is called. */
export class Live {
  /** @type {State | null} */ state = null;
  /** @type {WebSocket | undefined} */ #socket;
  /** @type {Connection | undefined} */ #connection;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer; // of the silence, or of the next try
  #failures = 0;
  #turn = 0; // one more for each connection that was let go

  /** @param {string | URL} url  of the socket, or the same by http @param {Options} options */
  constructor(url, options) {
    this.url = new URL(url);
    this.url.protocol = this.url.protocol.replace("http", "ws");
    this.options = options;
    this.#connect();
  }

  /** Connect anew, where one may see more by now. */
  again = () => this.#connection !== "over" && (this.#letGo(), this.#connect());

  /** Stop following. */
  close = () => this.#end(1000);

  async #connect() {
    this.#expectFrame();
    const turn = this.#turn;
    const ticket = await this.options.ticket?.().catch(() => "");
    if (turn !== this.#turn) return; // it was given up meanwhile
    if (ticket === "") return this.#comeBack();
    this.url.searchParams.delete("since");
    const from = !this.options.onEvent && this.state;
    if (from && "seq" in from) this.url.searchParams.set("since", `${from.seq}`);
    const socket = (this.#socket = new WebSocket(this.url));
    this.#expectFrame();
    socket.onopen = () => ticket && socket.send(JSON.stringify({ type: "auth", ticket }));
    socket.onmessage = ({ data }) => this.#take(JSON.parse(data));
    socket.onclose = ({ code }) => (LASTING.includes(code) ? this.#end(code) : this.#comeBack());
  }

  /** @param {Frame} frame */
  #take(frame) {
    this.#expectFrame();
    if (frame.type !== "error") {
      this.#failures = 0;
      this.#tell("live");
    }
    if (frame.type === "event") this.options.onEvent?.(frame);
    const before = this.state;
    this.state = apply(before, frame);
    if (this.state !== before) this.options.onState(this.state);
    if (frame.type === "closed" && !this.options.onEvent) this.#end(1000);
  }

  #expectFrame() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#comeBack(), this.options.silenceMs ?? SILENCE_MS);
  }

  #comeBack() {
    this.#letGo();
    if (this.#connection === "over") return;
    this.#timer = setTimeout(() => this.#connect(), delay(this.#failures++));
    this.#tell("reconnecting");
  }

  /** @param {number} code */
  #end(code) {
    this.#letGo();
    this.#tell("over", code);
  }

  /** @param {Connection} connection @param {number} [code] */
  #tell(connection, code) {
    if (this.#connection === connection) return;
    this.#connection = connection;
    this.options.onConnection?.(connection, code);
  }

  #letGo() {
    this.#turn += 1;
    clearTimeout(this.#timer);
    if (!this.#socket) return;
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
  }
}
