/** Holds each event until the picture is there. Pure: no clock, no DOM. */

import type { RoomEvent } from './types.ts';

/** Applied when they come: what was removed, muted or banned is not to be shown because a picture is late. */
const AT_ONCE = new Set(['chat.removed', 'viewer.muted', 'viewer.banned', 'mode.changed']);
/** Less than half a frame, more than the rounding of dates (5 ms). */
const SLACK = 450;
/** Events remembered, to tell doubles and to show the past again: an hour of a lively room. */
const MEMORY = 20_000;

/**
 * The events of a room in the order of the picture.
 *
 * Whatever carrier brings an event, in whatever order and however often, it is released once, when the picture has reached
 * its `bind.pts`.
 */
export class Timeline {
  readonly #release: (event: RoomEvent) => void;
  /** What waits for its picture, in the order of release. */
  #held: RoomEvent[] = [];
  /** Every event that was let in, by its name; the oldest are forgotten. */
  readonly #known = new Map<string, RoomEvent>();
  readonly #removed = new Set<string>();
  #position: number | undefined;

  constructor(release: (event: RoomEvent) => void) {
    this.#release = release;
  }

  /** The picture's place in ticks; `undefined` before the first one. */
  get position(): number | undefined {
    return this.#position;
  }

  /** How many events wait for their picture. */
  get held(): number {
    return this.#held.length;
  }

  /** Takes an event from any carrier; answers whether it is new. */
  add(event: RoomEvent): boolean {
    const name = nameOf(event);
    if (name !== undefined) {
      if (this.#known.has(name)) return false;
      remember(this.#known, name, event);
    }
    if (AT_ONCE.has(event.kind)) {
      if (event.kind === 'chat.removed') this.#remove(String(event.body.message ?? event.id));
      this.#release(event);
    } else if (event.kind === 'chat.message' && this.#removed.has(event.id)) {
      return true;
    } else if (this.#reached(event)) {
      this.#release(event);
    } else {
      this.#hold(event);
    }
    return true;
  }

  /** The picture is at `pts` now: releases what it has reached. Going back releases nothing; call {@link rewind} for that. */
  advance(pts: number): void {
    this.#position = pts;
    let event = this.#held[0];
    while (event && this.#reached(event)) {
      this.#held.shift();
      this.#release(event);
      event = this.#held[0];
    }
  }

  /** The picture is at `pts`; what it has reached waits for {@link advance}. */
  place(pts: number): void {
    this.#position = pts;
  }

  /** What is `known` otherwise is not told any more. */
  drop(known: (event: RoomEvent) => boolean): void {
    this.#held = this.#held.filter((event) => !known(event));
  }

  /** The picture went to `pts`, before what was shown: all known events after it wait for their picture again. */
  rewind(pts: number): void {
    this.#position = pts;
    this.#held = [];
    for (const event of this.#known.values()) {
      const again = !AT_ONCE.has(event.kind) && !this.#removed.has(event.id) && !this.#reached(event);
      if (again) this.#hold(event);
    }
  }

  /** Takes `event` as known without showing it: a state contains it. */
  skip(event: RoomEvent): void {
    const name = nameOf(event);
    if (name !== undefined && !this.#known.has(name)) remember(this.#known, name, event);
    this.#held = this.#held.filter((held) => nameOf(held) !== name);
  }

  /** Another log, or too much of this one was missed: what was told before no longer counts. Removals stay. */
  forget(): void {
    this.#held = [];
    this.#known.clear();
  }

  /** Whether a message was removed, wherever the picture is. */
  isRemoved(message: string): boolean {
    return this.#removed.has(message);
  }

  /** Whether the picture has reached where `event` belongs; so it has for one that belongs nowhere. */
  #reached({ bind }: RoomEvent): boolean {
    return !bind || (this.#position !== undefined && bind.pts <= this.#position + SLACK);
  }

  #remove(message: string): void {
    this.#removed.add(message);
    if (this.#removed.size > MEMORY) this.#removed.delete(this.#removed.values().next().value as string);
    this.#held = this.#held.filter(({ kind, id }) => kind !== 'chat.message' || id !== message);
  }

  /** By place, then by number: a binary search, as events come nearly in order. */
  #hold(event: RoomEvent): void {
    let [low, high] = [0, this.#held.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (precedes(event, this.#held[middle] as RoomEvent)) high = middle;
      else low = middle + 1;
    }
    this.#held.splice(low, 0, event);
  }
}

function precedes(a: RoomEvent, b: RoomEvent): boolean {
  const apart = (a.bind?.pts ?? 0) - (b.bind?.pts ?? 0);
  return apart === 0 ? (a.seq ?? Infinity) < (b.seq ?? Infinity) : apart < 0;
}

function nameOf({ epoch, seq }: RoomEvent): string | undefined {
  return seq === undefined ? undefined : `${epoch ?? ''}/${seq}`;
}

function remember(known: Map<string, RoomEvent>, name: string, event: RoomEvent): void {
  known.set(name, event);
  if (known.size > MEMORY) known.delete(known.keys().next().value as string);
}
