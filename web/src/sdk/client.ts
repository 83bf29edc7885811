/** The socket of one room: hello and rejoin, ops until they are answered, the server's clock. */

import { Outbox, type Store } from './outbox.ts';
import { Emitter, Refusal, type Ack, type Op, type Pos, type RoomEvent, type Welcome } from './types.ts';

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 30_000;
/** A connection that says nothing for so long after it was asked something is dead. */
const SILENCE_MS = 10_000;
const TIME_INTERVAL_MS = 20_000;
/** Exchanges of clocks that are remembered: the fastest of them counts. */
const EXCHANGES = 8;

export type Connection = 'connecting' | 'open' | 'waiting' | 'closed';

/** How an op fares. */
export interface OpProgress {
  op: Op;
  state: 'sending' | 'processing' | Ack['state'] | 'refused';
  ack?: Ack;
  refusal?: Refusal;
}

/** A message that waits for a moderator. */
export interface HeldMessage {
  id: string;
  text: string;
  by?: RoomEvent['by'];
  at: number;
  why: string;
  /** Somebody has decided on it: the rest is left out. */
  decided?: true;
}

export interface Report {
  message: string;
  reason: string;
  by?: RoomEvent['by'];
}

export interface ClientEvents {
  connection: Connection;
  welcome: Welcome;
  events: RoomEvent[];
  /** So many messages of a busy chat are not on this connection. */
  more: number;
  op: OpProgress;
  held: HeldMessage;
  report: Report;
  /** The server ends it for good, or for a while. */
  bye: { code: string; reason: string };
}

export interface ClientOptions {
  stream: string;
  /** `wss://…/api/v1/streams/STREAM/ws`. */
  url: string;
  /** The token to say hello with; `renew` if the one before is not taken any more. Without one the connection only listens. */
  token: (renew: boolean) => Promise<string | undefined>;
  /** The token of the anonymous session that the viewer had before they were known. */
  was?: string | undefined;
  store?: Store | undefined;
  /** Opens a socket; `WebSocket` where it is left out. */
  open?: (url: string, protocol: string) => WebSocket;
}

export class EventClient extends Emitter<ClientEvents> {
  readonly #options: ClientOptions;
  readonly #outbox: Outbox;
  readonly #waiting = new Map<string, { op: Op; resolve: (ack: Ack) => void; reject: (refusal: Refusal) => void }>();
  #socket: WebSocket | undefined;
  #connection: Connection = 'closed';
  #pos: Pos | undefined;
  #tries = 0;
  #retryInMs: number | undefined;
  #renew = false;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #silenceTimer: ReturnType<typeof setTimeout> | undefined;
  #timeTimer: ReturnType<typeof setInterval> | undefined;
  #exchanges: { offset: number; roundTrip: number }[] = [];
  readonly #online = (): void => this.#retryNow();

  constructor(options: ClientOptions) {
    super();
    this.#options = options;
    this.#outbox = new Outbox(options.stream, options.store);
  }

  get connection(): Connection {
    return this.#connection;
  }

  /** Up to where this connection has told everything. */
  get pos(): Pos | undefined {
    return this.#pos;
  }

  /** The server's clock minus ours in milliseconds, from the fastest exchange; `undefined` before the first. */
  get clockOffset(): number | undefined {
    const fastest = this.#exchanges.reduce((best, one) => (one.roundTrip < best.roundTrip ? one : best), this.#exchanges[0]!);
    return fastest?.offset;
  }

  start(): void {
    globalThis.addEventListener?.('online', this.#online);
    void this.#connect();
  }

  /** Ends the connection; what is not answered yet stays in the outbox. */
  close(): void {
    globalThis.removeEventListener?.('online', this.#online);
    this.#set('closed');
    clearTimeout(this.#retryTimer);
    this.#hangUp();
  }

  /**
   * Sends an op, now or once there is a connection. Resolves with the `ack` that ends it, rejects with the {@link Refusal}. What
   * is not answered is sent again after a reconnect or a reload, under its own id, so that it takes effect once.
   */
  send(op: Op): Promise<Ack> {
    const lasting = op.kind !== 'react';
    if (lasting) this.#outbox.add(op);
    else if (this.#connection !== 'open') return Promise.reject(offline());
    return new Promise((resolve, reject) => {
      this.#waiting.set(op.op_id, { op, resolve, reject });
      this.emit('op', { op, state: 'sending' });
      if (this.#connection === 'open') this.#sendOp(op);
    });
  }

  async #connect(): Promise<void> {
    this.#set('connecting');
    let token: string | undefined;
    try {
      token = await this.#options.token(this.#renew);
      this.#renew = false;
    } catch {
      if (this.#is('connecting')) this.#retry();
      return;
    }
    if (!this.#is('connecting')) return;
    const open = this.#options.open ?? ((url, protocol) => new WebSocket(url, protocol));
    const socket = open(this.#options.url, 'nowcast.v1');
    this.#socket = socket;
    this.#expectAnswer();
    socket.onopen = () => this.#tell({ t: 'hello', token, was: this.#options.was, pos: this.#pos });
    socket.onmessage = ({ data }) => {
      if (socket === this.#socket) this.#onFrame(String(data));
    };
    socket.onclose = () => {
      if (socket === this.#socket) this.#lost();
    };
  }

  #onFrame(text: string): void {
    clearTimeout(this.#silenceTimer);
    this.#silenceTimer = undefined;
    let frame: any;
    try {
      frame = JSON.parse(text);
    } catch {
      return;
    }
    switch (frame.t) {
      case 'welcome': return this.#onWelcome(frame);
      case 'batch': return this.#onBatch(frame);
      case 'ack': return this.#onAck(frame);
      case 'nack': return this.#onNack(frame);
      case 'time': return this.#onTime(frame);
      case 'held': return this.emit('held', { ...frame.message, ...(frame.decided && { decided: true }) });
      case 'report': return this.emit('report', frame);
      // Coming back with our place in the log fills it, or gives the state anew.
      case 'gap': return this.#again();
      case 'bye': return this.#onBye(frame);
    }
  }

  #onWelcome(welcome: Welcome): void {
    this.#tries = 0;
    if (welcome.resume !== 'replay') this.#pos = welcome.pos;
    this.#set('open');
    this.emit('welcome', welcome);
    for (const op of this.#outbox.pending()) this.#sendOp(op);
    this.#askTime();
    this.#timeTimer = setInterval(() => this.#askTime(), TIME_INTERVAL_MS);
  }

  #onBatch({ events, to, more, epoch }: { events: RoomEvent[]; to?: number; more?: number; epoch?: string }): void {
    const of = epoch ?? this.#pos?.epoch ?? '';
    const last = to ?? events.at(-1)?.seq;
    if (last !== undefined) this.#pos = { epoch: of, seq: Math.max(last, this.#pos?.seq ?? 0) };
    this.emit('events', events.map((event) => ({ ...event, epoch: of })));
    if (more) this.emit('more', more);
  }

  #onAck(ack: Omit<Ack, 'state'> & { state: Ack['state'] | 'processing' }): void {
    const { state } = ack;
    const op = this.#opOf(ack.op_id);
    if (state === 'processing') {
      if (op) this.emit('op', { op, state });
      return;
    }
    const answer: Ack = { ...ack, state };
    const waiting = this.#settle(ack.op_id);
    waiting?.resolve(answer);
    if (op) this.emit('op', { op, state, ack: answer });
  }

  #onNack(nack: ConstructorParameters<typeof Refusal>[0] & { op_id: string }): void {
    const op = this.#opOf(nack.op_id);
    this.#refuse(nack.op_id, op, new Refusal(nack));
  }

  #refuse(id: string, op: Op | undefined, refusal: Refusal): void {
    const waiting = this.#settle(id);
    waiting?.reject(refusal);
    if (op) this.emit('op', { op, state: 'refused', refusal });
  }

  #onTime({ c, s }: { c: number; s: number }): void {
    const roundTrip = Date.now() - c;
    this.#exchanges.push({ offset: s - (c + roundTrip / 2), roundTrip });
    if (this.#exchanges.length > EXCHANGES) this.#exchanges.shift();
  }

  #onBye({ code, reason, retry_in_ms }: { code: string; reason: string; retry_in_ms?: number }): void {
    this.emit('bye', { code, reason });
    if (code === 'auth.banned') {
      this.close();
      return;
    }
    this.#renew ||= code.startsWith('auth.');
    this.#retryInMs = retry_in_ms;
    this.#again();
  }

  /** What was asked is to be answered soon: any frame will do. */
  #expectAnswer(): void {
    this.#silenceTimer ??= setTimeout(() => this.#again(), SILENCE_MS);
  }

  #askTime(): void {
    this.#tell({ t: 'time', c: Date.now() });
    this.#expectAnswer();
  }

  #sendOp(op: Op): void {
    this.#tell({ t: 'op', ...op });
    this.#expectAnswer();
  }

  #tell(frame: object): void {
    if (this.#socket?.readyState === 1) this.#socket.send(JSON.stringify(frame));
  }

  #opOf(id: string): Op | undefined {
    return this.#waiting.get(id)?.op ?? this.#outbox.pending().find(({ op_id }) => op_id === id);
  }

  #settle(id: string): { resolve: (ack: Ack) => void; reject: (refusal: Refusal) => void } | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    this.#outbox.remove(id);
    return waiting;
  }

  #again(): void {
    this.#hangUp();
    this.#lost();
  }

  #hangUp(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    clearTimeout(this.#silenceTimer);
    this.#silenceTimer = undefined;
    clearInterval(this.#timeTimer);
    if (socket) socket.close();
  }

  #lost(): void {
    this.#hangUp();
    for (const { op } of [...this.#waiting.values()]) {
      if (op.kind === 'react') this.#refuse(op.op_id, op, offline());
    }
    if (this.#connection !== 'closed') this.#retry();
  }

  /** Full jitter, so that a room that lost its server does not come back as one. */
  #retry(): void {
    const most = Math.min(FIRST_WAIT_MS * 2 ** this.#tries++, LONGEST_WAIT_MS);
    const wait = this.#retryInMs ?? Math.random() * most;
    this.#retryInMs = undefined;
    this.#set('waiting');
    this.#retryTimer = setTimeout(() => void this.#connect(), wait);
  }

  #retryNow(): void {
    if (this.#connection !== 'waiting') return;
    clearTimeout(this.#retryTimer);
    void this.#connect();
  }

  #is(connection: Connection): boolean {
    return this.#connection === connection;
  }

  #set(connection: Connection): void {
    if (this.#connection === connection) return;
    this.#connection = connection;
    this.emit('connection', connection);
  }
}

function offline(): Refusal {
  return new Refusal({ code: 'state.offline', message: 'There is no connection.', hint: 'It comes back by itself.', keep_draft: false });
}
