// @ts-check
// Votes over time: a line for each of the options that lead, in our own SVG, and the same as a table.
import { call } from "../lib/http.js";
import { clock, format, say } from "../lib/words.js";

/** @typedef {{ at: number, votes: Record<string, number> }} Point  the count at a time, in ms */

const LINES = 6; // as many as there are colours
const ROWS = 20;
const WIDTH = 600;
const HEIGHT = 200;
const SVG = "http://www.w3.org/2000/svg";

/**
 * Return the points of a timeline: what each option had when a bucket ended.
 * @param {{ bucket_seconds: number, buckets: { at: string, votes: Record<string, number> }[] }} timeline
 * @returns {Point[]}
 */
function pointsOf({ bucket_seconds, buckets }) {
  /** @type {Record<string, number>} */ let sum = {};
  return buckets.map(({ at, votes }) => {
    sum = { ...sum };
    for (const [id, n] of Object.entries(votes)) sum[id] = (sum[id] ?? 0) + n;
    return { at: Date.parse(at) + bucket_seconds * 1000, votes: sum };
  });
}

/** @param {string} name @param {Record<string, string | number>} attributes */
function svg(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, `${value}`);
  return made;
}

/** @param {string} name @param {string} words @param {Record<string, string>} [attributes] */
function html(name, words, attributes = {}) {
  const made = document.createElement(name);
  made.textContent = words;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

export class History {
  /** @type {Point[]} */ points = [];
  #frame = 0;

  /**
   * @param {{ chart: HTMLElement, table: HTMLElement }} places
   * @param {Map<string, string>} names
   */
  constructor(places, names) {
    this.places = places;
    this.names = names;
    this.ids = [...names.keys()];
  }

  /** Begin with what the server has. @param {string} path */
  async load(path) {
    const { status, body } = await call("GET", path);
    if (status !== 200) return;
    const read = pointsOf(body);
    const last = read.at(-1)?.at ?? 0;
    this.points = [...read, ...this.points.filter((point) => point.at > last)];
    this.#drawSoon();
  }

  /** Add a count that has just come. @param {import("../lib/live.js").Count} count */
  add({ options }) {
    const votes = Object.fromEntries(options.map(({ id, votes }) => [id, votes]));
    this.points.push({ at: Date.now(), votes });
    if (this.points.length > 2_000) this.points = this.points.filter((_, place) => place % 2 === 0);
    this.#drawSoon();
  }

  /** Forget everything: the poll has begun anew. */
  clear() {
    this.points = [];
    this.#drawSoon();
  }

  /** Return how many marks came within the last minute. */
  pace(now = Date.now()) {
    const sum = (/** @type {Point | undefined} */ point) =>
      Object.values(point?.votes ?? {}).reduce((a, b) => a + b, 0);
    return sum(this.points.at(-1)) - sum(this.points.findLast((point) => point.at < now - 60_000));
  }

  #drawSoon() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      if (this.points.length > 1) this.#draw();
      else this.places.chart.replaceChildren();
    });
  }

  #draw() {
    const last = this.points[this.points.length - 1];
    const leading = [...this.ids]
      .sort((a, b) => (last.votes[b] ?? 0) - (last.votes[a] ?? 0))
      .slice(0, LINES);
    const top = Math.max(1, ...leading.map((id) => last.votes[id] ?? 0));
    const begin = this.points[0].at;
    const span = Math.max(1, last.at - begin);
    const drawing = svg("svg", {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: "none",
      "aria-hidden": "true",
    });
    for (const id of leading) {
      const place = this.ids.indexOf(id);
      const path = this.points
        .map(({ at, votes }) => [
          ((at - begin) / span) * WIDTH,
          HEIGHT - ((votes[id] ?? 0) / top) * (HEIGHT - 4) - 2,
        ])
        .map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`)
        .join(" ");
      const round = Math.floor(place / LINES);
      drawing.append(
        svg("polyline", {
          points: path,
          class: `tone-${(place % LINES) + 1}`,
          "stroke-dasharray": ["none", "8 4", "2 4"][round % 3],
        }),
      );
    }
    const scale = html("p", format(top), { class: "top small quiet" });
    const times = html("p", "", { class: "times small quiet" });
    times.append(html("span", clock(begin)), html("span", clock(last.at)));
    this.places.chart.replaceChildren(scale, drawing, times);
    this.#drawTable(leading);
  }

  /** @param {string[]} leading */
  #drawTable(leading) {
    const head = document.createElement("tr");
    head.append(html("th", say("time"), { scope: "col" }));
    for (const id of leading) head.append(html("th", this.names.get(id) ?? "", { scope: "col", dir: "auto" }));
    const step = Math.max(1, Math.ceil(this.points.length / ROWS));
    const chosen = this.points.filter((_, place) => (this.points.length - 1 - place) % step === 0);
    const rows = chosen.map(({ at, votes }) => {
      const row = document.createElement("tr");
      row.append(html("th", clock(at), { scope: "row" }));
      for (const id of leading) row.append(html("td", format(votes[id] ?? 0), { class: "number" }));
      return row;
    });
    this.places.table.replaceChildren(head, ...rows);
  }
}
