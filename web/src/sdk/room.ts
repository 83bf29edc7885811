/** A room as its picture has it: joins every carrier, the picture's clock and the socket. */

import { EventClient, type ClientEvents, type Connection } from './client.ts';
import { dateOf, listenTo, type HlsLike } from './hls.ts';
import { MediaClock } from './mediaclock.ts';
import type { Metadata } from './metadata.ts';
import { browserStore, type Store } from './outbox.ts';
import { watchPicture } from './picture.ts';
import { Replay } from './replay.ts';
import { anonymousBefore, anonymousToken, uuid } from './session.ts';
import { apply, emptyState } from './store.ts';
import { Ticks } from './ticks.ts';
import { Timeline } from './timeline.ts';
import { Emitter, type Ack, type Limits, type Op, type Role, type RoomEvent, type RoomState, type Welcome } from './types.ts';

export interface RoomOptions {
  stream: string;
  video: HTMLVideoElement;
  /** The player, where it is hls.js; see {@link Room.attach}. */
  hls?: HlsLike;
  /** Where the server is; the page's own origin where it is left out. */
  origin?: string;
  /** Open a socket to take part; without one the media and the JSON beside the playlists tell what there is. Default: yes. */
  takePart?: boolean;
  /** A token of your own issuer; `renew` if the last was refused. Default: an anonymous session. */
  token?: (renew: boolean) => Promise<string | undefined>;
  /** Hold each event until the picture is there. Default: yes; a moderator wants to see things sooner. */
  hold?: boolean;
  /** Where ops wait over a reload. Default: `localStorage`. */
  store?: Store;
}

export interface RoomEvents extends ClientEvents {
  /** The whole state is another one: joined, rejoined, or the picture jumped. */
  state: RoomState;
  /** An event whose picture is there; it is told by its `kind` too. */
  event: RoomEvent;
  [kind: string]: any;
}

const TICKS_A_SECOND = 90_000;
/** Back by more than this is a jump; less is a player that corrects itself. */
const BACK = TICKS_A_SECOND;
/** Forward by more than this may leave events out that no carrier told. */
const FORWARD = 5 * TICKS_A_SECOND;
/** Without a picture for so long, the room is shown by the server's clock. */
const NO_PICTURE_MS = 10_000;

export class Room extends Emitter<RoomEvents> {
  readonly #video: HTMLVideoElement;
  readonly #hold: boolean;
  readonly #clock = new MediaClock();
  readonly #timeline = new Timeline((event) => this.#release(event));
  readonly #replay: Replay;
  readonly #ticks: Ticks;
  readonly #client: EventClient | undefined;
  readonly #abort = new AbortController();
  readonly #since = Date.now();
  readonly #metadata = new Set<string>();
  #detach: () => void = () => undefined;
  #hls: HlsLike | undefined;
  #state = emptyState();
  /** A state that came before the first picture, which decides how much of it is shown. */
  #coming: { state: RoomState; epoch: string; seq: number } | undefined;
  /** What the shown state contains already. */
  #floor: { epoch: string; seq: number; pts: number } | undefined;
  #epoch = '';
  /** The socket told everything from this number on. */
  #toldFrom: number | undefined;
  #welcome: Welcome | undefined;
  #picture: number | undefined;
  #date: number | undefined;
  #moment: AbortController | undefined;

  constructor(options: RoomOptions) {
    super();
    const { stream, video, takePart = true, hold = true, store = browserStore() } = options;
    const origin = options.origin ?? location.origin;
    const name = encodeURIComponent(stream);
    this.#video = video;
    this.#hold = hold;
    this.#ticks = new Ticks(new URL(`/live/${name}/events/`, origin).href);
    this.#replay = new Replay(this.#ticks);
    if (!hold) this.#timeline.advance(Infinity);
    if (options.hls) this.attach(options.hls);
    watchPicture(video, (time) => this.#onPicture(time), this.#abort.signal);
    const patience = setInterval(() => this.#withoutPicture(), 1000);
    this.#abort.signal.addEventListener('abort', () => clearInterval(patience));
    if (takePart) {
      const url = new URL(`/api/v1/streams/${name}/ws`, origin).href.replace(/^http/, 'ws');
      const token = options.token ?? anonymousToken(origin, store);
      const was = options.token && anonymousBefore(store);
      this.#client = this.#listen(new EventClient({ stream, url, token, was, store }));
    } else {
      void this.#join();
    }
  }

  /** The room as the picture has it. Read it, do not change it. */
  get state(): RoomState {
    return this.#state;
  }

  /** The picture's place in ticks. */
  get position(): number | undefined {
    return this.#picture;
  }

  /** The picture's date, Unix milliseconds: what `closes_at` is to be compared with. */
  get date(): number | undefined {
    return this.#date;
  }

  /** Events that wait for their picture. */
  get held(): number {
    return this.#timeline.held;
  }

  get connection(): Connection {
    return this.#client?.connection ?? 'closed';
  }

  get viewer(): string | undefined {
    return this.#welcome?.viewer;
  }

  get role(): Role | undefined {
    return this.#welcome?.role;
  }

  get limits(): Limits | undefined {
    return this.#welcome?.limits;
  }

  /** The server's clock, Unix milliseconds. */
  get serverNow(): number {
    return Date.now() + (this.#client?.clockOffset ?? 0);
  }

  /** Follows another player on the same element. */
  attach(hls: HlsLike): void {
    this.#detach();
    this.#clock.newPlayer();
    this.#hls = hls;
    this.#detach = listenTo(hls, {
      metadata: (time, value) => this.#onMetadata(time, value),
      events: (events) => this.#tell(events, this.#epoch),
    });
  }

  /** Sends an op of this viewer; what it says is reckoned from the picture that they see. */
  send(kind: string, body: unknown, options: { at?: Op['at'] } = {}): Promise<Ack> {
    if (!this.#client) return Promise.reject(new Error('This room was opened without taking part.'));
    const seen = this.#picture === undefined ? {} : { seen: Math.round(this.#picture) };
    return this.#client.send({ op_id: uuid(), kind, body, ...seen, ...options });
  }

  close(): void {
    this.#abort.abort();
    this.#moment?.abort();
    this.#detach();
    this.#client?.close();
  }

  // ---------------------------------------------------------------- the picture

  #onPicture(time: number): void {
    const date = dateOf(time, this.#video, this.#hls);
    const pts = this.#clock.pts({ time, date });
    this.#date = date ?? (pts === undefined ? undefined : this.#clock.date(pts));
    if (pts === undefined) return;
    const before = this.#picture;
    this.#picture = pts;
    if (!this.#hold) {
      this.#show();
      return;
    }
    if (this.#coming) {
      this.#timeline.place(pts);
      this.#show();
    } else if (before !== undefined && pts < before - BACK) {
      this.#jump(pts);
    } else if (before !== undefined && pts > before + FORWARD && !this.#complete()) {
      this.#jump(pts);
    } else {
      this.#timeline.advance(pts);
    }
  }

  /** A player that shows nothing is no reason to keep the room silent. */
  #withoutPicture(): void {
    if (this.#picture !== undefined || Date.now() - this.#since < NO_PICTURE_MS) return;
    if (this.#coming) this.#show();
    this.#timeline.advance(Infinity);
  }

  // ---------------------------------------------------------------- states

  /** Shows the state that came, as far as the picture has got. */
  #show(): void {
    const coming = this.#coming;
    if (!coming) return;
    this.#coming = undefined;
    this.#enter(coming.state, coming.epoch, coming.seq);
    const { media } = coming.state;
    const { position } = this.#timeline;
    // What came since the state was written.
    if (position !== undefined) this.#timeline.advance(position);
    const behind = media && position !== undefined ? media.pts - position : 0;
    if (behind > FORWARD) void this.#loadMoment();
  }

  #enter(state: RoomState, epoch: string, seq: number): void {
    const position = this.#timeline.position ?? Infinity;
    this.#floor = { epoch, seq, pts: position };
    this.#timeline.drop((event) => this.#isCovered(event));
    const reached = ({ bind }: { bind?: { pts: number } }): boolean => !bind || bind.pts <= position;
    const all = [...state.chat, ...state.announcements, ...(state.pinned ? [state.pinned] : [])];
    this.#state = {
      ...state,
      chat: state.chat.filter((event) => reached(event) && !this.#timeline.isRemoved(event.id)),
      announcements: state.announcements.filter(reached),
      pinned: state.pinned && reached(state.pinned) ? state.pinned : null,
      polls: state.polls.filter(reached),
      mine: state.mine ?? this.#state.mine ?? { votes: {}, upvotes: [], muted_until: null },
    };
    for (const [id, body] of Object.entries(this.#state.mine?.tallies ?? {})) apply(this.#state, { id, kind: 'poll.tally', body });
    for (const event of all) {
      const named = { ...event, epoch };
      if (reached(event)) this.#timeline.skip(named);
      else this.#timeline.add(named);
    }
    for (const poll of state.polls) {
      if (!reached(poll)) this.#timeline.add({ id: poll.id, epoch, kind: 'poll.opened', bind: poll.bind!, body: poll });
    }
    this.emit('state', this.#state);
  }

  /** A state that is told as the room is now. */
  #come(state: RoomState, epoch: string, seq: number): void {
    if (state.media) this.#clock.sawDate(state.media.pdt, state.media.pts);
    for (const { bind } of [...state.chat, ...state.polls]) if (bind?.pdt) this.#clock.sawDate(bind.pdt, bind.pts);
    this.#coming = { state, epoch, seq };
    this.#epoch = epoch;
    if (!state.media || this.#timeline.position !== undefined) this.#show();
  }

  async #join(): Promise<void> {
    const current = await this.#ticks.current(this.#abort.signal);
    if (!current || this.connection === 'open') return;
    if (!this.#welcome) this.#come(current.state, current.epoch, current.seq);
    if (this.#hls) return;
    this.#moment?.abort();
    const { signal } = (this.#moment = new AbortController());
    this.#follow({ epoch: current.epoch, next: current.tick + 1, last: current.tick }, signal);
  }

  /** The picture is somewhere else: what was shown after it goes at once, the state of that moment comes. */
  #jump(pts: number): void {
    this.#timeline.rewind(pts);
    const reached = ({ bind }: { bind?: { pts: number } }): boolean => !bind || bind.pts <= pts;
    this.#state = {
      ...this.#state,
      chat: this.#state.chat.filter(reached),
      announcements: this.#state.announcements.filter(reached),
      polls: this.#state.polls.filter(reached),
    };
    this.#floor = undefined;
    this.emit('state', this.#state);
    void this.#loadMoment();
  }

  async #loadMoment(): Promise<void> {
    this.#moment?.abort();
    const { signal } = (this.#moment = new AbortController());
    const moment = await this.#replay.moment(() => this.#timeline.position ?? 0, signal);
    if (!moment || signal.aborted) return;
    this.#enter(moment.state, moment.epoch, moment.seq);
    this.#tell(moment.ahead, moment.epoch);
    this.#follow(moment, signal);
  }

  #follow(moment: { epoch: string; next: number; last: number }, signal: AbortSignal): void {
    const options = {
      position: () => this.#timeline.position,
      enough: (seq: number) => this.connection === 'open' && this.#toldFrom !== undefined && seq >= this.#toldFrom,
      alone: () => this.connection !== 'open' && !this.#hls,
      tell: (events: RoomEvent[]) => this.#tell(events, moment.epoch),
    };
    void this.#replay.follow(moment, options, signal).then((whole) => {
      if (whole && signal === this.#moment?.signal) this.#moment = undefined;
    });
  }

  /** Nothing between the places the picture jumps over is missing. */
  #complete(): boolean {
    return this.connection === 'open' && this.#moment === undefined;
  }

  // ---------------------------------------------------------------- carriers

  #listen(client: EventClient): EventClient {
    const pass = (name: keyof ClientEvents) => client.on(name, (value) => this.emit(name, value));
    pass('more');
    pass('held');
    pass('report');
    pass('bye');
    client.on('connection', (connection) => {
      this.emit('connection', connection);
      // The media go on telling what there is; a player without metadata follows the JSON until the socket is back.
      if (connection === 'waiting' && (!this.#welcome || !this.#hls)) void this.#join();
    });
    client.on('welcome', (welcome) => {
      this.#welcome = welcome;
      const { state, pos, resume } = welcome;
      if (resume === 'replay') {
        if (state.mine) this.#state.mine = state.mine;
        if (state.media) this.#clock.sawDate(state.media.pdt, state.media.pts);
      } else {
        if (resume === 'snapshot') this.#timeline.forget();
        this.#toldFrom = pos.seq;
        this.#come(state, pos.epoch, pos.seq);
      }
      this.emit('welcome', welcome);
    });
    client.on('events', (events) => {
      this.#tell(events, this.#epoch);
      this.emit('events', events);
    });
    client.on('op', (progress) => {
      if (progress.ack) this.#remember(progress.op, progress.ack);
      this.emit('op', progress);
    });
    client.start();
    return client;
  }

  #tell(events: RoomEvent[], epoch: string): void {
    for (const event of events) this.#accept({ ...event, epoch: event.epoch || epoch });
  }

  #accept(event: RoomEvent): void {
    const { bind } = event;
    if (bind?.pdt) this.#clock.sawDate(bind.pdt, bind.pts);
    if (this.#isCovered(event)) this.#timeline.skip(event);
    else this.#timeline.add(event);
  }

  /** The shown state has it already. */
  #isCovered({ epoch, seq, bind }: RoomEvent): boolean {
    const floor = this.#floor;
    return floor !== undefined && seq !== undefined && epoch === floor.epoch && seq <= floor.seq && (bind?.pts ?? 0) <= floor.pts;
  }

  #onMetadata(time: number, value: Metadata): void {
    const { pts, epoch, events = [], polls = {}, reactions, more } = value;
    this.#epoch ||= epoch;
    this.#tell(events, epoch);
    if (pts === undefined) return;
    this.#clock.sawTime(time, pts);
    // A socket tells these as events; and a part is read again after a jump or for another rung.
    const name = `${pts} ${JSON.stringify([polls, reactions])}`;
    if (this.connection === 'open' || this.#metadata.has(name)) return;
    this.#metadata.add(name);
    const here = { epoch, bind: { pts } };
    for (const [id, tally] of Object.entries(polls)) {
      this.#timeline.add({ ...here, id, kind: 'poll.tally', body: { poll: id, ...tally, closing: 'closes_at' in tally } });
    }
    if (reactions) this.#timeline.add({ ...here, id: name, kind: 'reactions', body: { counts: reactions } });
    if (more) this.emit('more', more);
  }

  // ---------------------------------------------------------------- what is shown

  #release(event: RoomEvent): void {
    if (!apply(this.#state, event)) return;
    const { kind, body } = event;
    if (kind.startsWith('poll.') && !body.options) {
      // The media tell votes alone: whoever listens gets the same shape from every carrier.
      event.body = { ...body, options: this.#state.polls.find(({ id }) => id === (body.poll ?? event.id))?.options ?? [] };
    }
    const { mine } = this.#state;
    if (kind === 'viewer.muted' && mine && body.viewer === this.viewer) mine.muted_until = body.until === 0 ? null : (body.until ?? Infinity);
    this.emit(kind, event);
    this.emit('event', event);
  }

  /** What this viewer did is known to them at once. */
  #remember({ kind, body }: Op, { tally }: Ack): void {
    const mine = (this.#state.mine ??= { votes: {}, upvotes: [], muted_until: null });
    const { poll, options, question } = body as { poll: string; options: string[]; question: string };
    if (kind === 'poll.vote') mine.votes[poll] = options;
    if (kind === 'qa.upvote') mine.upvotes.push(question);
    if (tally) this.#release({ id: tally.poll, kind: 'poll.tally', body: tally });
  }
}
