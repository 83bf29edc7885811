/** Ops that were not answered yet, kept over a reload. */

import type { Op } from './types.ts';

/** The server remembers its answers for so long: after it, an op sent again could take effect twice. */
const LIFETIME_MS = 24 * 3600 * 1000;

/** `localStorage`, or nothing where a browser forbids it. */
export type Store = Pick<Storage, 'getItem' | 'setItem' | 'removeItem' | 'key' | 'length'>;

/** What a store may refuse (private windows, a full disk) is done without. */
export function attempt<T>(what: () => T): T | undefined {
  try {
    return what();
  } catch {
    return undefined;
  }
}

export function browserStore(): Store | undefined {
  return attempt(() => globalThis.localStorage);
}

interface Kept {
  op: Op;
  /** Unix milliseconds. */
  at: number;
}

/** One key for each op, so that pages side by side never overwrite each other's. */
export class Outbox {
  readonly #prefix: string;
  readonly #store: Store | undefined;
  readonly #ops = new Map<string, Kept>();

  constructor(stream: string, store: Store | undefined) {
    this.#prefix = `nowcast.op.${stream}.`;
    this.#store = store;
    attempt(() => this.#load());
  }

  add(op: Op): void {
    const kept = { op, at: Date.now() };
    this.#ops.set(op.op_id, kept);
    attempt(() => this.#store?.setItem(this.#prefix + op.op_id, JSON.stringify(kept)));
  }

  /** It was answered. */
  remove(id: string): void {
    this.#ops.delete(id);
    attempt(() => this.#store?.removeItem(this.#prefix + id));
  }

  /** What is still to be answered, the oldest first. */
  pending(): Op[] {
    for (const [id, { at }] of this.#ops) if (Date.now() - at > LIFETIME_MS) this.remove(id);
    return [...this.#ops.values()].sort((a, b) => a.at - b.at).map(({ op }) => op);
  }

  #load(): void {
    const store = this.#store;
    if (!store) return;
    const keys = Array.from({ length: store.length }, (_, index) => store.key(index));
    for (const key of keys) {
      if (!key?.startsWith(this.#prefix)) continue;
      const kept = attempt(() => JSON.parse(store.getItem(key) ?? '') as Kept);
      if (kept?.op) this.#ops.set(kept.op.op_id, kept);
      else store.removeItem(key);
    }
  }
}
