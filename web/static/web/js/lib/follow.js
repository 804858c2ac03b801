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
 * @property {() => Promise<string>} [ticket]
 * @property {() => Promise<Record<string, string>>} [headers]  that say who asks
 */

const PATIENCE_MS = 4_000; // without the socket, before the results are asked for
const EVERY_MS = 3_000;

export class Follow {
  /** @type {Connection} */ #connection = "connecting";
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  #etag = "";

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

  /** Stop following. */
  close() {
    clearTimeout(this.#timer);
    this.live.close();
    this.#connection = "over";
  }

  /** @param {import("./live.js").Connection} connection @param {number} [code] */
  #hear(connection, code) {
    clearTimeout(this.#timer);
    if (connection === "over") this.#tell(code === 1000 ? "final" : "over");
    else {
      this.#tell(connection);
      if (connection === "reconnecting") this.#askSoon();
    }
  }

  #askSoon(ms = PATIENCE_MS) {
    this.#timer = setTimeout(() => this.#ask(), ms + Math.random() * 1000);
  }

  async #ask() {
    const headers = { ...(await this.options.headers?.()) };
    if (this.options.onEvent && (await this.#showsAnother())) return location.reload();
    if (!this.places.poll) return this.#askSoon(EVERY_MS); // an event shows nothing
    if (this.#etag) headers["If-None-Match"] = this.#etag;
    let answer = await call("GET", this.places.results, { headers });
    if (answer.status === 403) answer = await call("GET", this.places.self, { headers });
    if (this.#connection === "live" || this.#connection === "over") return; // it came meanwhile
    if (answer.status === 200 || answer.status === 304) {
      if (answer.status === 200) this.#take(answer);
      this.#tell(answer.body?.final ? "final" : "catching_up");
    } else this.#tell("reconnecting");
    if (this.#connection === "final" && !this.options.onEvent) this.live.close();
    else this.#askSoon(EVERY_MS);
  }

  /** Whether the event shows another poll than this page. */
  async #showsAnother() {
    const { status, body } = await call("GET", this.places.event ?? "");
    return status === 200 && (body.current ?? "") !== this.places.poll;
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
