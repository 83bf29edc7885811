import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';
import { EventClient, type ClientOptions } from '../src/sdk/client.ts';
import { emptyState } from '../src/sdk/store.ts';
import type { Op, Refusal } from '../src/sdk/types.ts';

/** A socket whose other end is the test. */
class Line {
  static all: Line[] = [];
  readyState = 1;
  sent: any[] = [];
  onopen: (() => void) | undefined;
  onmessage: ((event: { data: string }) => void) | undefined;
  onclose: (() => void) | undefined;

  constructor() {
    Line.all.push(this);
    queueMicrotask(() => this.onopen?.());
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }

  close(): void {
    this.readyState = 3;
  }

  tell(frame: object): void {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }

  cut(): void {
    this.readyState = 3;
    this.onclose?.();
  }

  of(t: string): any[] {
    return this.sent.filter((frame) => frame.t === t);
  }
}

function memory(): NonNullable<ClientOptions['store']> {
  const kept = new Map<string, string>();
  return {
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => void kept.set(key, value),
    removeItem: (key) => void kept.delete(key),
    key: (index) => [...kept.keys()][index] ?? null,
    get length() {
      return kept.size;
    },
  };
}

const op = (id: string, kind = 'chat.send'): Op => ({ op_id: id, kind, body: { text: id } });
const flush = (): Promise<void> => new Promise((done) => setImmediate(done));
const last = (): Line => Line.all.at(-1)!;

function client(options: Partial<ClientOptions> = {}): EventClient {
  const open = (): WebSocket => new Line() as unknown as WebSocket;
  return new EventClient({ stream: 'live', url: 'ws://x', token: async () => 'token', open, ...options });
}

async function welcomed(seq = 10, resume = 'full'): Promise<void> {
  await flush();
  last().tell({ t: 'welcome', viewer: 'v', role: 'viewer', pos: { epoch: 'e', seq }, resume, state: emptyState(), limits: {} });
}

beforeEach(() => {
  Line.all = [];
  mock.timers.reset();
  // The types are of a Node before 20.11.
  mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'], now: 1_000_000 } as never);
});

test('it says hello without a place, and comes back with the last one it was told', async () => {
  const room = client();
  room.start();
  await welcomed();
  assert.deepEqual(last().of('hello'), [{ t: 'hello', token: 'token' }]);
  last().tell({ t: 'batch', events: [{ seq: 11, id: 'm', kind: 'chat.message', body: {} }], to: 14 });
  last().cut();
  assert.equal(room.connection, 'waiting');
  mock.timers.tick(500);
  await flush();
  assert.deepEqual(last().of('hello')[0].pos, { epoch: 'e', seq: 14 });
});

test('each event names its epoch, and numbers never go back', async () => {
  const room = client();
  const told: any[] = [];
  room.on('events', (events) => told.push(...events));
  room.start();
  await welcomed(10);
  last().tell({ t: 'batch', events: [{ seq: 12, id: 'b', kind: 'custom', body: {} }] });
  last().tell({ t: 'batch', events: [{ seq: 11, id: 'a', kind: 'custom', body: {} }] });
  assert.deepEqual(told.map(({ epoch, seq }) => [epoch, seq]), [['e', 12], ['e', 11]]);
  assert.equal(room.pos?.seq, 12);
});

test('waits grow to half a minute with full jitter, and the server’s word goes before', async (t) => {
  t.mock.method(Math, 'random', () => 1);
  const room = client();
  room.start();
  const waits: number[] = [];
  for (let attempt = 0; attempt < 9; attempt++) {
    await flush();
    const [line, from] = [last(), Date.now()];
    line.cut();
    while (last() === line) {
      mock.timers.tick(250);
      await flush();
    }
    waits.push(Date.now() - from);
  }
  assert.deepEqual(waits, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
  const line = last();
  await welcomed();
  line.tell({ t: 'bye', code: 'server.stopping', reason: 'deploy', retry_in_ms: 3000 });
  mock.timers.tick(2999);
  await flush();
  assert.equal(last(), line);
  mock.timers.tick(1);
  await flush();
  assert.notEqual(last(), line);
});

test('an op is told as sending, processing and confirmed, and its promise is the answer', async () => {
  const room = client();
  const states: string[] = [];
  room.on('op', ({ state }) => states.push(state));
  room.start();
  await welcomed();
  const answer = room.send(op('one'));
  last().tell({ t: 'ack', op_id: 'one', state: 'processing' });
  last().tell({ t: 'ack', op_id: 'one', state: 'confirmed', seq: 11, bind: { pts: 5 }, late_ms: 120 });
  assert.deepEqual(await answer, { t: 'ack', op_id: 'one', state: 'confirmed', seq: 11, bind: { pts: 5 }, late_ms: 120 });
  assert.deepEqual(states, ['sending', 'processing', 'confirmed']);
});

test('a refusal says what happened, what to do and when, and whether to keep the draft', async () => {
  const room = client();
  room.start();
  await welcomed();
  const answer = room.send(op('one'));
  last().tell({ t: 'nack', op_id: 'one', code: 'rate.user', message: 'Too fast.', hint: 'Wait.', retry_after_ms: 900, keep_draft: true });
  await assert.rejects(answer, (refusal: Refusal) => {
    const { code, message, hint, retryAfterMs, keepDraft } = refusal;
    assert.deepEqual({ code, message, hint, retryAfterMs, keepDraft }, { code: 'rate.user', message: 'Too fast.', hint: 'Wait.', retryAfterMs: 900, keepDraft: true });
    return true;
  });
});

test('what was not answered is sent again under its own id, in order, until it is', async () => {
  const room = client();
  room.start();
  const answers = [room.send(op('one')), room.send(op('two'))];
  await welcomed();
  assert.deepEqual(last().of('op').map(({ op_id }) => op_id), ['one', 'two']);
  last().tell({ t: 'ack', op_id: 'one', state: 'confirmed', seq: 11 });
  last().cut();
  mock.timers.tick(500);
  await welcomed(11, 'replay');
  assert.deepEqual(last().of('op').map(({ op_id }) => op_id), ['two']);
  last().tell({ t: 'ack', op_id: 'two', state: 'held' });
  assert.deepEqual((await Promise.all(answers)).map(({ state }) => state), ['confirmed', 'held']);
});

test('it survives a reload for a day, and no longer', async () => {
  const store = memory();
  client({ store }).send(op('one'));
  mock.timers.tick(1000);
  const reloaded = client({ store });
  const states: string[] = [];
  reloaded.on('op', ({ op: { op_id }, state }) => states.push(`${op_id} ${state}`));
  reloaded.start();
  await welcomed();
  assert.deepEqual(last().of('op').map(({ op_id }) => op_id), ['one']);
  last().tell({ t: 'ack', op_id: 'one', state: 'confirmed', seq: 11 });
  assert.deepEqual(states, ['one confirmed']);
  assert.equal(store.length, 0);

  client({ store }).send(op('old'));
  mock.timers.tick(24 * 3600 * 1000 + 1);
  client({ store }).start();
  await welcomed();
  assert.deepEqual(last().of('op'), []);
});

test('another stream’s ops stay where they are', async () => {
  const store = memory();
  client({ store }).send(op('one'));
  client({ store, stream: 'liver' }).start();
  await welcomed();
  assert.deepEqual(last().of('op'), []);
});

test('a reaction is sent now or not at all', async () => {
  const room = client();
  await assert.rejects(room.send(op('r', 'react')), { code: 'state.offline' });
  room.start();
  await welcomed();
  const lost = room.send(op('s', 'react'));
  last().cut();
  await assert.rejects(lost, { code: 'state.offline' });
  mock.timers.tick(500);
  await welcomed();
  assert.deepEqual(last().of('op'), []);
});

test('the fastest exchange of clocks counts', async () => {
  const room = client();
  room.start();
  await welcomed();
  const [{ c }] = last().of('time');
  mock.timers.tick(100);
  last().tell({ t: 'time', c, s: c + 5050 });
  assert.equal(room.clockOffset, 5000);
  mock.timers.tick(19_900);
  const slow = last().of('time')[1].c;
  mock.timers.tick(2000);
  last().tell({ t: 'time', c: slow, s: slow + 9000 });
  assert.equal(room.clockOffset, 5000);
});

test('a connection that is silent when asked is given up', async () => {
  const room = client();
  room.start();
  await welcomed();
  const line = last();
  mock.timers.tick(10_000);
  assert.equal(line.readyState, 3);
  mock.timers.tick(500);
  await flush();
  assert.notEqual(last(), line);
});

test('a gap is filled by coming back with one’s place', async () => {
  const room = client();
  room.start();
  await welcomed(10);
  last().tell({ t: 'gap', have: 10, need: 40 });
  mock.timers.tick(500);
  await flush();
  assert.deepEqual(last().of('hello')[0].pos, { epoch: 'e', seq: 10 });
});

test('a token that has run out is renewed, a ban ends it', async () => {
  const asked: boolean[] = [];
  const room = client({ token: async (renew) => (asked.push(renew), 'token') });
  room.start();
  await welcomed();
  last().tell({ t: 'bye', code: 'auth.expired', reason: 'The token has run out.' });
  mock.timers.tick(500);
  await welcomed();
  assert.deepEqual(asked, [false, true]);
  const line = last();
  line.tell({ t: 'bye', code: 'auth.banned', reason: 'You are banned.' });
  mock.timers.tick(60_000);
  await flush();
  assert.equal(room.connection, 'closed');
  assert.equal(last(), line);
});
