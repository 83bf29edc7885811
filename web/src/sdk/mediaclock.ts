/** From what a player knows to the ticks that events are bound to. */

/** Anchors within this many ticks of each other say the same (1 ms: dates are that coarse). */
const SAME = 90;
/** Anchors kept: one for each discontinuity, so far more than a playlist's window has. */
const MOST = 256;

/**
 * A line of slope `ticks` per unit, in pieces: each anchor holds from its own place on, as a discontinuity moves what follows it
 * and nothing before it.
 */
export class Anchors {
  readonly #ticks: number;
  #anchors: { from: number; offset: number }[] = [];

  constructor(ticks: number) {
    this.#ticks = ticks;
  }

  /** The place `at` is `pts`. */
  add(at: number, pts: number): void {
    const offset = pts - at * this.#ticks;
    const next = this.#anchors.findIndex(({ from }) => from > at);
    const place = next < 0 ? this.#anchors.length : next;
    const [before, after] = [this.#anchors[place - 1], this.#anchors[place]];
    if (before && Math.abs(before.offset - offset) <= SAME) return;
    if (after && Math.abs(after.offset - offset) <= SAME) after.from = at;
    else this.#anchors.splice(place, 0, { from: at, offset });
    if (this.#anchors.length > MOST) this.#anchors.shift();
  }

  /** Ticks of the place `at`; `undefined` before the first anchor. */
  pts(at: number): number | undefined {
    const offset = this.#piece(({ from }) => from <= at);
    return offset === undefined ? undefined : at * this.#ticks + offset;
  }

  /** The place of `pts`. */
  at(pts: number): number | undefined {
    const offset = this.#piece((anchor) => anchor.from * this.#ticks + anchor.offset <= pts);
    return offset === undefined ? undefined : (pts - offset) / this.#ticks;
  }

  clear(): void {
    this.#anchors = [];
  }

  #piece(holds: (anchor: { from: number; offset: number }) => boolean): number | undefined {
    return (this.#anchors.filter(holds).at(-1) ?? this.#anchors[0])?.offset;
  }
}

/** What the player shows: its media time in seconds, and the date of that picture where it knows one. */
export interface Picture {
  time: number;
  /** Unix milliseconds. */
  date: number | undefined;
}

/**
 * The picture's place on the stream's timeline.
 *
 * Timed metadata names both the media time and the tick of its place, so it is exact; where none has come yet, or the player
 * hides it, dates do: the playing date against the date of any event, to a millisecond.
 */
export class MediaClock {
  readonly #times = new Anchors(90_000);
  readonly #dates = new Anchors(90);

  /** Metadata at the media time `time`, in seconds, says that its place is `pts`. */
  sawTime(time: number, pts: number): void {
    this.#times.add(time, pts);
  }

  /** The place `pts` has the date `pdt`, Unix milliseconds. */
  sawDate(pdt: number, pts: number): void {
    this.#dates.add(pdt, pts);
  }

  /** Ticks of what is shown; `undefined` while nothing relates the player's time to the stream's. */
  pts({ time, date }: Picture): number | undefined {
    return this.#times.pts(time) ?? (date === undefined ? undefined : this.#dates.pts(date));
  }

  /** The date of a place, Unix milliseconds. */
  date(pts: number): number | undefined {
    return this.#dates.at(pts);
  }

  /** Another player, or another source: its media time is not the old one's. */
  newPlayer(): void {
    this.#times.clear();
  }
}
