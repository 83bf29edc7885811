/** What travels: docs/contract.md, "Viewers' events", and docs/events.md. */

/** Where an event belongs. */
export interface Bind {
  /** 90 kHz ticks of the video's decode timeline. */
  pts: number;
  /** That place's PROGRAM-DATE-TIME, Unix milliseconds. */
  pdt?: number;
  msn?: number;
  part?: number;
}

export type Role = 'viewer' | 'moderator' | 'host' | 'operator';

/** Who did something. */
export interface By {
  id: string;
  name?: string | null;
  role?: Role;
}

/** One event of a room. `(epoch, seq)` names it; `id` names the thing it speaks of. */
export interface RoomEvent<Body = any> {
  /** Absent where a carrier tells a number rather than an event (tallies and reactions in the media). */
  seq?: number;
  epoch?: string;
  id: string;
  kind: string;
  /** When the server accepted it, Unix milliseconds. */
  at?: number;
  /** Absent before anything was ever published: shown at once. */
  bind?: Bind;
  seen?: number;
  by?: By;
  body: Body;
}

/** A place in a room's log. */
export interface Pos {
  epoch: string;
  seq: number;
}

export interface Option {
  id: string;
  text: string;
  /** Absent while they are not to be seen. */
  votes?: number;
}

export type Results = 'always' | 'after_vote' | 'after_close' | 'on_reveal';

export interface Poll {
  id: string;
  question: string;
  options: Option[];
  multi: boolean;
  change_vote: boolean;
  results: Results;
  /** PROGRAM-DATE-TIME at which it closes by itself, Unix milliseconds. */
  closes_at: number | null;
  rev: number;
  voters: number;
  state: 'open' | 'closing' | 'closed' | 'cancelled';
  bind?: Bind;
}

export interface Question {
  id: string;
  text: string;
  by?: By;
  votes: number;
  state: 'asked' | 'spotlight' | 'answered' | 'dismissed';
}

export interface Modes {
  /** Milliseconds between two messages; 0: off. */
  slow: number;
  locked: boolean;
  emoji: boolean;
  followers: boolean;
  hold: boolean;
  /** What the room gives up because too much is written: 0, nothing, to 4. */
  overload: number;
}

/** A poll's count. */
export interface Tally {
  poll: string;
  rev: number;
  options: Option[];
  voters: number;
}

/** What one viewer did. */
export interface Mine {
  votes: Record<string, string[]>;
  upvotes: string[];
  muted_until: number | null;
  /** Counts that are shown to who has voted. */
  tallies?: Record<string, Tally>;
}

/** A room at one moment. */
export interface RoomState {
  /** The live edge; `null` before the first picture. */
  media: { pts: number; pdt: number } | null;
  polls: Poll[];
  questions: Question[];
  announcements: RoomEvent[];
  pinned: RoomEvent | null;
  modes: Modes;
  chat: RoomEvent[];
  /** What this viewer did; only of one's own connection. */
  mine?: Mine;
}

export interface Limits {
  text_graphemes: number;
  text_bytes: number;
  chat_interval_ms: number;
  chat_burst: number;
  options: number;
  frame_bytes: number;
}

export interface Welcome {
  viewer: string;
  role: Role;
  pos: Pos;
  resume: 'full' | 'replay' | 'snapshot';
  state: RoomState;
  limits: Limits;
}

/** The answer to an op that was taken. */
export interface Ack {
  op_id: string;
  state: 'confirmed' | 'counted' | 'held';
  seq?: number;
  /** Where it landed. */
  bind?: Bind;
  /** Its frame had passed already, so long ago. */
  late_ms?: number;
  tally?: Tally;
}

/** One op as it is sent. */
export interface Op {
  op_id: string;
  kind: string;
  body: unknown;
  seen?: number;
  at?: { wall: number } | { pts: number };
}

/** Why an op was not taken; its message says what happened, `hint` what to do. */
export class Refusal extends Error {
  readonly code: string;
  readonly hint: string;
  readonly retryAfterMs: number | undefined;
  readonly keepDraft: boolean;

  constructor(nack: { code: string; message: string; hint?: string; retry_after_ms?: number; keep_draft?: boolean }) {
    super(nack.message);
    this.name = 'Refusal';
    this.code = nack.code;
    this.hint = nack.hint ?? '';
    this.retryAfterMs = nack.retry_after_ms;
    this.keepDraft = nack.keep_draft ?? true;
  }
}

/** Calls that are told of something by name. */
export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<(value: any) => void>>();

  /** Calls `listener` from now on; the answer ends that. */
  on<Name extends keyof Events>(name: Name, listener: (value: Events[Name]) => void): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => void listeners.delete(listener);
  }

  /** A listener that throws is reported and harms no other. */
  protected emit<Name extends keyof Events>(name: Name, value: Events[Name]): void {
    for (const listener of this.#listeners.get(name) ?? []) {
      try {
        listener(value);
      } catch (error) {
        console.error(error);
      }
    }
  }
}
