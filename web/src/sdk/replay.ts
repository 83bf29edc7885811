/** The room at a past moment, and what followed it: the last snapshot before it, then ticks. */

import { apply, emptyState } from './store.ts';
import type { Tick, Ticks } from './ticks.ts';
import type { RoomEvent, RoomState } from './types.ts';

/** Ticks are read so far ahead of the picture. */
const AHEAD = 10 * 90_000;
const IDLE_MS = 500;

/** A room at one moment, and the ticks that speak of what follows. */
export interface Moment {
  epoch: string;
  state: RoomState;
  /** Known by now, for later than the moment. */
  ahead: RoomEvent[];
  /** Everything up to this number in the log is told by now. */
  seq: number;
  /** The next tick to read, and the last one that is known to be there. */
  next: number;
  last: number;
}

export class Replay {
  readonly #ticks: Ticks;

  constructor(ticks: Ticks) {
    this.#ticks = ticks;
  }

  /** The room when the picture was at `position()`, which moves on while this is fetched; nothing if it cannot be had. */
  async moment(position: () => number, signal: AbortSignal): Promise<Moment | undefined> {
    const current = await this.#ticks.current(signal);
    if (!current) return undefined;
    const { epoch } = current;
    const at = position();
    const before = current.snapshots?.filter(({ pts }) => pts <= at).at(-1)?.tick;
    const snapshot = before === undefined ? undefined : await this.#ticks.snapshot(epoch, before, signal);
    const state = snapshot?.state ?? emptyState();
    let next = (snapshot?.tick ?? 0) + 1;
    let seq = snapshot?.seq ?? 0;
    const events: RoomEvent[] = [];
    while (next <= current.tick) {
      const some = await this.#ticks.some(epoch, next, current.tick, signal);
      if (some.length === 0) break;
      next += some.length;
      seq = some.at(-1)!.to;
      events.push(...some.flatMap((tick) => tick.events));
      if (some.some((tick) => isAfter(tick, position() + AHEAD))) break;
    }
    // Older than what is kept: nobody can say.
    if (!snapshot && events.length === 0 && current.tick > 0) return undefined;
    const reached = position();
    const ahead = events.filter((event) => {
      const later = event.bind !== undefined && event.bind.pts > reached;
      if (!later) apply(state, event);
      return later;
    });
    return { epoch, state: { ...state, media: current.state.media }, ahead, seq, next, last: current.tick };
  }

  /**
   * Reads on from `moment`, ahead of the picture, and tells each event; ends once `enough` of the log is told, or, where nothing else tells of the room
   * (`alone`), follows it for good. Answers whether it told enough.
   */
  async follow(
    moment: Pick<Moment, 'epoch' | 'next' | 'last'>,
    options: {
      position: () => number | undefined;
      enough: (seq: number) => boolean;
      alone: () => boolean;
      tell: (events: RoomEvent[]) => void;
    },
    signal: AbortSignal,
  ): Promise<boolean> {
    const { epoch } = moment;
    let { next, last } = moment;
    let told: Tick | undefined;
    while (!signal.aborted) {
      const position = options.position();
      if (told && position !== undefined && isAfter(told, position + AHEAD)) {
        await pause(IDLE_MS, signal);
        continue;
      }
      let ticks: Tick[];
      if (next <= last) {
        ticks = await this.#ticks.some(epoch, next, last, signal);
        if (ticks.length === 0) return false;
      } else if (options.alone()) {
        const tick = await this.#ticks.next(epoch, next, signal);
        if (!tick) await pause(IDLE_MS, signal);
        ticks = tick ? [tick] : [];
      } else {
        // The stream went on while the viewer was behind it.
        last = (await this.#ticks.current(signal))?.tick ?? last;
        if (next > last) return false;
        continue;
      }
      for (const tick of ticks) options.tell(tick.events);
      next += ticks.length;
      told = ticks.at(-1) ?? told;
      if (told && options.enough(told.to)) return true;
    }
    return false;
  }
}

/** Whether all that `tick` tells belongs after `pts`. */
function isAfter(tick: Tick, pts: number): boolean {
  return tick.events.length > 0 && tick.events.every(({ bind }) => bind !== undefined && bind.pts > pts);
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      done();
    });
  });
}
