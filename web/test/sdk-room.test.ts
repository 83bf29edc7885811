import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import type { HlsLike } from '../src/sdk/hls.ts';
import { Room, type RoomOptions } from '../src/sdk/room.ts';
import { emptyState } from '../src/sdk/store.ts';
import type { Poll, RoomEvent, RoomState } from '../src/sdk/types.ts';
import { tag } from './id3.ts';

const BASE = 1_795_305_600_000;
const flush = async (): Promise<void> => {
  for (let turn = 0; turn < 30; turn++) await new Promise((done) => setImmediate(done));
};

/** A player on a stream whose tick zero has the date `BASE`; the test says which picture is shown. */
class Screen implements HlsLike {
  playingDate: Date | null = null;
  readonly readyState = 4;
  currentTime = 0;
  seeking = false;
  #frame: ((now: number, metadata: { mediaTime: number }) => void) | undefined;
  #listeners = new Map<string, (name: string, data: unknown) => void>();

  requestVideoFrameCallback(frame: (now: number, metadata: { mediaTime: number }) => void): void {
    this.#frame = frame;
  }

  /** Shows the picture of `seconds` on the stream's timeline; the player's own time began 100 s later. */
  show(seconds: number): void {
    this.currentTime = seconds - 100;
    this.playingDate = new Date(BASE + seconds * 1000);
    this.#frame?.(0, { mediaTime: this.currentTime });
  }

  on(name: string, listener: (name: string, data: unknown) => void): void {
    this.#listeners.set(name, listener);
  }

  off(name: string): void {
    this.#listeners.delete(name);
  }

  /** A part with this value in its `emsg` was parsed. */
  metadata(value: { pts: number }): void {
    const data = tag(['nowcast', JSON.stringify(value)]);
    this.#listeners.get('hlsFragParsingMetadata')?.('', { samples: [{ pts: value.pts / 90_000 - 100, data }] });
  }

  dateRange(id: string, event: RoomEvent): void {
    const attr = { 'X-NOWCAST-EVENT': Buffer.from(JSON.stringify(event)).toString('base64url') };
    this.#listeners.get('hlsLevelUpdated')?.('', { details: { dateRanges: { [id]: { attr } } } });
  }
}

function event(seq: number, seconds: number, kind = 'chat.message', body: object = { text: `${seq}` }): RoomEvent {
  return { seq, epoch: 'e', id: `i${seq}`, kind, bind: { pts: seconds * 90_000, pdt: BASE + seconds * 1000 }, body };
}

const state = (parts: Partial<RoomState> = {}): RoomState => ({ ...emptyState(), media: { pts: 200 * 90_000, pdt: BASE + 200_000 }, ...parts });

/** What the server has below `/live/live/events/`. */
let files: Record<string, unknown>;
let asked: string[];
let room: Room | undefined;

function open(screen: Screen, options: Partial<RoomOptions> = {}): { room: Room; shown: string[]; states: RoomState[] } {
  const [shown, states]: [string[], RoomState[]] = [[], []];
  room = new Room({ stream: 'live', video: screen as unknown as HTMLVideoElement, hls: screen, origin: 'http://x', takePart: false, ...options });
  room.on('event', ({ kind, id }) => shown.push(`${kind} ${id}`));
  room.on('state', (one) => states.push(structuredClone(one)));
  return { room, shown, states };
}

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'], now: BASE + 200_000 } as never);
  [files, asked] = [{}, []];
  mock.method(globalThis, 'fetch', async (url: string) => {
    const path = url.slice('http://x/live/live/events/'.length);
    asked.push(path);
    return files[path] === undefined ? new Response('', { status: 404 }) : Response.json(files[path]);
  });
});

afterEach(() => {
  room?.close();
  mock.restoreAll();
});

test('a page with only the media shows each event with its picture, once, whichever carrier brings it', async () => {
  const screen = new Screen();
  const { room, shown } = open(screen);
  await flush();
  const poll = event(7, 102, 'poll.opened', { question: '?', options: [{ id: '1', text: 'a' }, { id: '2', text: 'b' }] });
  screen.dateRange('i7', poll);
  screen.metadata({ v: 1, epoch: 'e', pts: 101 * 90_000, events: [event(6, 101.5), poll] } as never);
  screen.show(101.4);
  assert.deepEqual(shown, []);
  screen.show(101.5);
  assert.deepEqual(shown, ['chat.message i6']);
  screen.metadata({ v: 1, epoch: 'e', pts: 102 * 90_000, events: [poll], polls: { i7: { rev: 1, votes: [1, 0], voters: 1 } } } as never);
  screen.show(102);
  assert.deepEqual(shown, ['chat.message i6', 'poll.opened i7', 'poll.tally i7']);
  assert.deepEqual(room.state.polls[0]?.options, [{ id: '1', text: 'a', votes: 1 }, { id: '2', text: 'b', votes: 0 }]);
});

test('reactions of a part that is read twice count once', async () => {
  const screen = new Screen();
  const { shown } = open(screen);
  const value = { v: 1, epoch: 'e', pts: 101 * 90_000, reactions: { '❤': 3 } } as never;
  screen.metadata(value);
  screen.metadata(value);
  screen.show(101);
  screen.show(102);
  assert.equal(shown.length, 1);
});

test('who joins sees the room as it was at their picture, and what it had ahead of it when the picture is there', async () => {
  const poll: Poll = {
    ...{ id: 'p', question: '?', options: [], multi: false, change_vote: true, results: 'always', closes_at: null },
    ...{ rev: 0, voters: 0, state: 'open', bind: { pts: 199 * 90_000 } },
  };
  files = { 'state.json': { v: 1, epoch: 'e', seq: 5, tick: 5, state: state({ chat: [event(1, 190), event(4, 198.5)], polls: [poll] }) } };
  const screen = new Screen();
  const { room, shown, states } = open(screen);
  screen.dateRange('i2', event(2, 195, 'announcement'));
  await flush();
  assert.equal(states.length, 0, 'nothing is shown before there is a picture');
  screen.show(198);
  assert.deepEqual(states[0]?.chat.map(({ id }) => id), ['i1']);
  assert.deepEqual(states[0]?.polls, []);
  screen.show(198.5);
  screen.show(199);
  assert.deepEqual(shown, ['chat.message i4', 'poll.opened p']);
  screen.metadata({ v: 1, epoch: 'e', pts: 198 * 90_000, events: [event(1, 190), event(2, 195)] } as never);
  screen.show(200);
  assert.equal(shown.length, 2, 'what the state has already is not told again');
  assert.equal(room.state.chat.length, 2);
});

/** Ticks of one message a second, 10 s to 200 s; a snapshot every 32. */
function history(): void {
  const all = Array.from({ length: 191 }, (_, index) => event(index + 1, index + 10));
  const snapshots = [];
  for (const one of all) {
    const tick = one.seq!;
    files[`e/${tick}.json`] = { v: 1, epoch: 'e', tick, from: tick, to: tick, events: [one] };
    if (tick % 32 > 0) continue;
    snapshots.push({ tick, pts: one.bind!.pts });
    files[`e/snapshot-${tick}.json`] = { v: 1, epoch: 'e', seq: tick, tick, state: state({ chat: all.slice(0, tick).slice(-50) }) };
  }
  files['state.json'] = { v: 1, epoch: 'e', seq: 191, tick: 191, state: state({ chat: all.slice(-50) }), snapshots };
}

test('who seeks back sees the room of that moment, then what followed, as it followed', async () => {
  history();
  const screen = new Screen();
  const { room, shown } = open(screen);
  await flush();
  screen.show(199.5);
  assert.equal(room.state.chat.at(-1)?.id, 'i190');
  screen.show(120.2);
  assert.ok((room.state.chat.at(-1)?.bind?.pts ?? 0) <= 120.2 * 90_000, 'what came later goes at once');
  await flush();
  assert.equal(room.state.chat.at(-1)?.id, 'i111');
  assert.equal(room.state.chat.length, 50 + 111 - 96, 'a snapshot and its ticks');
  shown.length = 0;
  for (let tenth = 1202; tenth < 1500; tenth += 2) {
    const at = tenth / 10;
    screen.show(at);
    mock.timers.tick(200);
    await flush();
    const last = Math.floor(at) - 9;
    assert.equal(room.state.chat.at(-1)?.id, `i${last}`, `at ${at}`);
  }
  assert.equal(new Set(shown).size, shown.length, 'nothing is told twice');
});

test('a seek is answered by one snapshot and few ticks', async () => {
  history();
  const screen = new Screen();
  open(screen);
  await flush();
  screen.show(199.5);
  asked.length = 0;
  screen.show(110);
  await flush();
  assert.equal(asked.filter((path) => path.includes('snapshot')).length, 1);
  assert.ok(asked.length <= 2 + 32 + 16, `asked ${asked.length} times`);
});

test('without hls.js the JSON is followed for good', async () => {
  files = { 'state.json': { v: 1, epoch: 'e', seq: 5, tick: 5, state: state() } };
  files['e/next.json?_t=6'] = { v: 1, epoch: 'e', tick: 6, from: 6, to: 6, events: [event(6, 200)] };
  files['e/next.json?_t=7'] = { v: 1, epoch: 'e', tick: 7, from: 7, to: 8, events: [event(7, 200.5), event(8, 201)] };
  const screen = new Screen();
  const video = Object.assign(screen, { getStartDate: () => new Date(BASE + 100_000) });
  const { shown } = open(screen, { video: video as unknown as HTMLVideoElement, hls: undefined as never });
  screen.show(199.9);
  await flush();
  screen.show(200);
  screen.show(200.5);
  assert.deepEqual(shown, ['chat.message i6', 'chat.message i7']);
});

test('where no picture comes, the room is shown all the same, after a while', async () => {
  files = { 'state.json': { v: 1, epoch: 'e', seq: 5, tick: 5, state: state({ chat: [event(1, 190)] }) } };
  const { states } = open(new Screen());
  await flush();
  mock.timers.tick(9000);
  assert.equal(states.length, 0);
  mock.timers.tick(3000);
  assert.equal(states[0]?.chat.length, 1);
});
