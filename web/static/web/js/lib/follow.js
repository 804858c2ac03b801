// @ts-check
// Follow a poll by its socket; where that cannot be had, by asking for the results again and again.
import { Live } from "./live.js";
import { call } from "./http.js";

/** @typedef {import("./live.js").State} State */
/**
 * @typedef {"connecting" | "live" | "reconnecting" | "catching_up" | "final" | "over"} Connection
 *   catching_up: the socket does not come about, the results are asked for every few seconds
 */
/**
 * @typedef {object} Places
 * @property {string} live  the socket @property {string} results @property {string} self
 * @property {string} [event] @property {string} [poll]  where the live socket is an event's
 */
/**
 * @typedef {object} Options
 * @property {(state: State) => void} onState
 * @property {(connection: Connection) => void} onConnection
 * @property {(event: import("./live.js").Event) => void} [onEvent]  where an event is followed
 * @property {() => Promise<string | undefined>} [ticket]
 * @property {() => Promise<Record<string, string>>} [headers]  that say who asks
 */

const PATIENCE_MS = 4_000; // without the socket, before the results are asked for
const EVERY_MS = 3_000;

export class Follow {
  /** @type {Connection} */ #connection = "connecting";
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  #etag = "";
  #turn = 0; // one more for each word from the socket

  /** @param {Places} places @param {Options} options */
  constructor(places, options) {
    this.places = places;
    this.options = options;
    const url = new URL(places.live, location.href);
    url.searchParams.set("view", "status");
    options.onConnection("connecting");
    this.#askSoon();
    this.live = new Live(url, {
      ticket: options.ticket,
      onEvent: options.onEvent,
      onState: (state) => state && options.onState(state),
      onConnection: (connection, code) => this.#hear(connection, code),
    });
  }

  /** @param {import("./live.js").Connection} connection @param {number} [code] */
  #hear(connection, code) {
    this.#turn += 1; // what is asked for has become old
    clearTimeout(this.#timer);
    if (connection === "over") this.#tell(code === 1000 ? "final" : "over");
    else {
      this.#tell(connection);
      if (connection === "reconnecting") this.#askSoon();
    }
  }

  #askSoon(ms = PATIENCE_MS) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(), ms + Math.random() * 1000);
  }

  async #ask() {
    const turn = this.#turn;
    const another = !!this.options.onEvent && (await this.#showsAnother());
    if (turn !== this.#turn) return; // the socket has come, or has gone once more
    if (another) return location.reload();
    const answer = this.places.poll ? await this.#read() : null; // an event may show nothing
    if (turn !== this.#turn) return;
    if (answer === null || answer.status === 200 || answer.status === 304) {
      if (answer?.status === 200) this.#take(answer);
      this.#tell(answer?.body?.final && !this.options.onEvent ? "final" : "catching_up");
    } else this.#tell("reconnecting");
    if (this.#connection === "final") this.live.close();
    else this.#askSoon(EVERY_MS);
  }

  async #read() {
    const headers = { ...(await this.options.headers?.()) };
    if (this.#etag) headers["If-None-Match"] = this.#etag;
    const answer = await call("GET", this.places.results, { headers });
    return answer.status === 403 ? call("GET", this.places.self, { headers }) : answer;
  }

  /** Whether the event shows another poll than this page; a draft is shown to nobody. */
  async #showsAnother() {
    const { status, body } = await call("GET", this.places.event ?? "");
    if (status !== 200) return false;
    const current = body.polls.find((/** @type {any} */ poll) => poll.id === body.current);
    return (current && current.status !== "draft" ? current.id : "") !== this.places.poll;
  }

  /** @param {import("./http.js").Answer} answer */
  #take({ body, headers }) {
    const { status, seq, ballots, options, opens_at, closes_at } = body;
    if ("final" in body) {
      this.#etag = headers?.get("ETag") ?? "";
      this.options.onState({ poll: body.poll, status, seq, ballots, options });
    } else this.options.onState({ poll: body.id, status, opens_at, closes_at });
  }

  /** @param {Connection} connection */
  #tell(connection) {
    if (this.#connection === connection) return;
    this.#connection = connection;
    this.options.onConnection(connection);
  }
}
