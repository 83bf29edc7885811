/**
 * Where the live edge is, and how fast to play to stay a chosen distance behind it.
 *
 * Pure: no DOM, no clock. Times are seconds; `now` is any monotonic clock, media times are the player's.
 * Why not hls.js's own catch-up, and how the constants were found: docs/players.md.
 */

/** Arrivals older than this no longer bear on the edge: long enough to span a segment, short enough to follow drift. */
const EDGE_MEMORY = 8;

/**
 * Estimates the live edge of one rendition from the arrivals of its playlist.
 *
 * A part can only be listed late, never early, so the earliest arrival relative to media time is the
 * true one: the estimate is the upper envelope of `edge - arrival`, which jitter does not move.
 */
export class LiveEdge {
  #arrivals: { at: number; offset: number }[] = [];
  #listed = -Infinity;

  /** The end of the last listed part. */
  get listed(): number {
    return this.#listed;
  }

  /** A playlist that ends at media time `edge` arrived at `at`; `gap` seconds without news begin anew. */
  observe(at: number, edge: number, gap: number): void {
    if (edge === this.#listed) return;
    const last = this.#arrivals.at(-1);
    if (edge < this.#listed || (last && at - last.at > gap)) this.#arrivals = [];
    this.#listed = edge;
    this.#arrivals = this.#arrivals.filter((arrival) => at - arrival.at < EDGE_MEMORY);
    this.#arrivals.push({ at, offset: edge - at });
  }

  /** The media time that is live at `now`; `undefined` before the first playlist. */
  at(now: number): number | undefined {
    if (this.#arrivals.length === 0) return undefined;
    return now + Math.max(...this.#arrivals.map((arrival) => arrival.offset));
  }
}

/** What the player is doing, as the controller needs it. */
export interface Playback {
  /** Monotonic clock. */
  now: number;
  /** Live edge minus playing position. */
  latency: number;
  /** Media listed ahead of the playing position. */
  listed: number;
  /** Media buffered ahead of the playing position, in every track. */
  ahead: number;
  /** The picture stands still for want of media. */
  starved: boolean;
}

/** Never nearer than two parts: one that plays, one that is on its way. */
const PARTS_BEHIND = 2;
/** On top of that, for the request, the append and the decoder: Chromium waits once less than about 0.15 s is left. */
const MARGIN = 0.25;
/** Seconds of error corrected per second; the loop has no lag worth mentioning, so it cannot overshoot. */
const GAIN = 0.4;
const SLOWEST = 0.9;
const FASTEST = 1.15;
/** Leave normal speed beyond this error … */
const LEAVE = 0.04;
/** … and come back to it within this one. */
const SETTLE = 0.01;
/** Farther off than this is not worth catching up with: jump. */
const JUMP = 2;
/**
 * Starved for so long although there is more to fetch: jump, which makes hls.js look for its next part afresh.
 * On a busy machine hls.js 1.7.4 loses the marks of parts it has appended (its fragment tracker drops a segment whose first
 * parts are appended before the last part of the one before is accounted for). At the segment's end it then
 * fetches nothing until those parts leave the playlist, 4.6 s. Doubles while it does not help, for a link that is really slow.
 */
const STARVED = 0.5;
/** After a stall, play so much farther behind, … */
const BACK_OFF = 0.25;
/** … at most this much in all, … */
const MOST_BACK_OFF = 2;
/** … for at least this long, … */
const PATIENCE = 120;
/** … and then come back by this much a second. */
const RECOVERY = 0.005;

/** Holds the playing position at a target latency, and moves the target when the network asks for it. */
export class LatencyController {
  #partTarget: number;
  #backOff = 0;
  #stalledAt = -Infinity;
  #updatedAt: number | undefined;
  #rate = 1;
  #starvedSince: number | undefined;
  #fedSince: number | undefined;
  #endurance = STARVED;

  constructor(partTarget: number) {
    this.#partTarget = partTarget;
  }

  /** The latency to hold, in seconds behind the live edge. */
  get target(): number {
    return PARTS_BEHIND * this.#partTarget + MARGIN + this.#backOff;
  }

  /** The buffer ran dry at `now`. Stalls within a second of each other are one. */
  stalled(now: number): void {
    if (now - this.#stalledAt > 1) {
      this.#backOff = Math.min(this.#backOff + BACK_OFF, MOST_BACK_OFF);
    }
    this.#stalledAt = now;
  }

  /** The speed to play at from now on, or `'jump'` to go to the target at once. Call it a few times a second. */
  update({ now, latency, listed, ahead, starved }: Playback): number | 'jump' {
    this.#recover(now);
    const error = latency - this.target;
    const stuck = this.#stuck(now, starved);
    // While it starves, latency grows by itself; jumping for that would drop what is just being fetched.
    if ((starved ? stuck : error > JUMP) && listed > this.target) {
      if (stuck) this.#endurance *= 2;
      this.#starvedSince = undefined;
      this.#rate = 1;
      return 'jump';
    }
    if (starved) return this.#rate;
    if (Math.abs(error) < (this.#rate === 1 ? LEAVE : SETTLE)) {
      this.#rate = 1;
    } else {
      const wanted = Math.min(Math.max(1 + GAIN * error, SLOWEST), FASTEST);
      // Running ahead of a thin buffer trades latency for a stall.
      const allowed = ahead < this.#partTarget / 2 ? 1 : FASTEST;
      this.#rate = Math.round(Math.min(wanted, allowed) * 100) / 100;
    }
    return this.#rate;
  }

  #stuck(now: number, starved: boolean): boolean {
    if (!starved) {
      this.#starvedSince = undefined;
      this.#fedSince ??= now;
      if (now - this.#fedSince > 1) this.#endurance = STARVED;
      return false;
    }
    this.#fedSince = undefined;
    this.#starvedSince ??= now;
    return now - this.#starvedSince >= this.#endurance;
  }

  #recover(now: number): void {
    const elapsed = now - (this.#updatedAt ?? now);
    this.#updatedAt = now;
    if (now - this.#stalledAt > PATIENCE) {
      this.#backOff = Math.max(this.#backOff - RECOVERY * elapsed, 0);
    }
  }
}
