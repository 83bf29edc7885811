/** The JSON beside the playlists: states, snapshots and ticks, which any cache may keep. */

import type { RoomEvent, RoomState } from './types.ts';

/** Ticks fetched side by side: with HTTP/1.1 the picture needs the other connections. */
const ABREAST = 4;

export interface Current {
  epoch: string;
  seq: number;
  tick: number;
  state: RoomState;
  snapshots?: { tick: number; pts: number }[];
}

export interface Tick {
  epoch: string;
  tick: number;
  /** First and last number in the log. */
  from: number;
  to: number;
  events: RoomEvent[];
}

export interface Snapshot {
  epoch: string;
  seq: number;
  tick: number;
  state: RoomState;
}

/** Reads what is below `/live/STREAM/events/`; what cannot be had is `undefined`. */
export class Ticks {
  readonly #base: string;

  /** `base` ends with a slash. */
  constructor(base: string) {
    this.#base = base;
  }

  /** The room as it is. */
  current(signal?: AbortSignal): Promise<Current | undefined> {
    return this.#get<Current>('state.json', signal);
  }

  /** The room after tick `tick`. */
  snapshot(epoch: string, tick: number, signal?: AbortSignal): Promise<Snapshot | undefined> {
    return this.#get<Snapshot>(`${epoch}/snapshot-${tick}.json`, signal);
  }

  /** The ticks from `first` on, as many as are there of a handful up to `last`. */
  async some(epoch: string, first: number, last: number, signal?: AbortSignal): Promise<Tick[]> {
    const length = Math.min(ABREAST, last - first + 1);
    const wanted = Array.from({ length }, (_, index) => this.#tick(`${epoch}/${first + index}.json`, signal));
    const ticks = await Promise.all(wanted);
    const missing = ticks.indexOf(undefined);
    return ticks.slice(0, missing < 0 ? length : missing) as Tick[];
  }

  /** Tick `tick`, once there is one: the request is held until then. */
  next(epoch: string, tick: number, signal?: AbortSignal): Promise<Tick | undefined> {
    return this.#tick(`${epoch}/next.json?_t=${tick}`, signal);
  }

  async #tick(path: string, signal?: AbortSignal): Promise<Tick | undefined> {
    const tick = await this.#get<Tick>(path, signal);
    tick?.events.forEach((event) => (event.epoch = tick.epoch));
    return tick;
  }

  async #get<T>(path: string, signal?: AbortSignal): Promise<T | undefined> {
    try {
      const response = await fetch(this.#base + path, { credentials: 'omit', ...(signal && { signal }) });
      return response.ok ? ((await response.json()) as T) : undefined;
    } catch {
      return undefined;
    }
  }
}
