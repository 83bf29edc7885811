import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MediaClock } from '../src/sdk/mediaclock.ts';
import { readDateRange, readId3 } from '../src/sdk/metadata.ts';
import { apply, emptyState } from '../src/sdk/store.ts';
import { Timeline } from '../src/sdk/timeline.ts';
import type { RoomEvent } from '../src/sdk/types.ts';
import { tag } from './id3.ts';

const FRAME = 3000;

function message(seq: number, pts: number, id = `m${seq}`): RoomEvent {
  return { seq, epoch: 'e', id, kind: 'chat.message', bind: { pts }, body: { text: `message ${seq}` } };
}

function removal(seq: number, pts: number, removed: string): RoomEvent {
  return { seq, epoch: 'e', id: removed, kind: 'chat.removed', bind: { pts }, body: { message: removed } };
}

/** A timeline, and what it released so far. */
function timeline(): { line: Timeline; shown: RoomEvent[] } {
  const shown: RoomEvent[] = [];
  return { line: new Timeline((event) => shown.push(event)), shown };
}

/** Numbers that look random and are the same each time. */
function random(seed: number): () => number {
  return () => {
    seed = (seed * 1664525 + 1013904223) >>> 0;
    return seed / 2 ** 32;
  };
}

function shuffled<T>(items: T[], next: () => number): T[] {
  return items.map((item) => ({ item, at: next() })).sort((a, b) => a.at - b.at).map(({ item }) => item);
}

const seqs = (events: RoomEvent[]): (number | undefined)[] => events.map(({ seq }) => seq);

test('nothing is shown before the picture reaches it, and everything once, by whatever order and number of carriers', () => {
  for (let seed = 0; seed < 200; seed++) {
    const next = random(seed);
    const { line, shown } = timeline();
    const events = Array.from({ length: 40 }, (_, index) => message(index + 1, Math.round(next() * 90_000)));
    // Four carriers, each with its own order and its own gaps; the first has all.
    const arrivals = [events, ...[1, 2, 3].map(() => events.filter(() => next() < 0.5))].flatMap((carrier) => shuffled(carrier, next));
    const mixed = shuffled(arrivals, next);
    for (let pts = 0; pts <= 91_000; pts += FRAME) {
      line.advance(pts);
      for (const event of mixed.splice(0, 3)) line.add({ ...event });
      const early = shown.find(({ bind }) => bind!.pts > pts + FRAME / 2);
      assert.equal(early, undefined, `seed ${seed}: ${early?.id} was shown at ${pts}`);
    }
    for (const event of mixed) line.add({ ...event });
    line.advance(91_000);
    assert.deepEqual(seqs(shown).sort((a, b) => a! - b!), seqs(events), `seed ${seed}`);
  }
});

test('an event shows with the frame it is bound to, not with the one before', () => {
  const { line, shown } = timeline();
  const frame = 30;
  line.advance(0);
  line.add(message(1, frame * FRAME));
  for (let at = 0; at < 40; at++) {
    // A date is good for a millisecond.
    line.advance(at * FRAME + (at % 2 ? 90 : -90));
    assert.equal(shown.length, at < frame ? 0 : 1, `at frame ${at}`);
  }
});

test('before the first picture everything waits, but what belongs nowhere', () => {
  const { line, shown } = timeline();
  line.add(message(2, 0));
  line.add({ seq: 1, epoch: 'e', id: 'm1', kind: 'chat.message', body: { text: 'early' } });
  assert.deepEqual(seqs(shown), [1]);
  line.advance(0);
  assert.deepEqual(seqs(shown), [1, 2]);
});

test('events of one place come in the order of the log', () => {
  const { line, shown } = timeline();
  for (const seq of [3, 1, 2]) line.add(message(seq, 900));
  line.advance(900);
  assert.deepEqual(seqs(shown), [1, 2, 3]);
});

test('a message that is removed while it waits is never shown, whichever comes first', () => {
  for (const order of [[message(1, 9000), removal(2, 20_000, 'm1')], [removal(2, 20_000, 'm1'), message(1, 9000)]]) {
    const { line, shown } = timeline();
    line.advance(0);
    for (const event of order) line.add(event);
    assert.deepEqual(shown.map(({ kind }) => kind), ['chat.removed'], 'the removal is applied at once');
    line.advance(90_000);
    line.rewind(0);
    line.advance(90_000);
    assert.equal(shown.length, 1);
  }
});

test('mutes, bans and modes do not wait for the picture', () => {
  const { line, shown } = timeline();
  line.advance(0);
  for (const [seq, kind] of ['viewer.muted', 'viewer.banned', 'mode.changed', 'poll.opened'].entries()) {
    line.add({ seq, epoch: 'e', id: kind, kind, bind: { pts: 90_000 }, body: {} });
  }
  assert.deepEqual(shown.map(({ kind }) => kind), ['viewer.muted', 'viewer.banned', 'mode.changed']);
});

test('the same number in another epoch is another event', () => {
  const { line, shown } = timeline();
  line.advance(9000);
  line.add(message(1, 0));
  line.add({ ...message(1, 0, 'other'), epoch: 'f' });
  assert.equal(shown.length, 2);
});

test('after a seek back what comes later waits again', () => {
  const { line, shown } = timeline();
  line.advance(100_000);
  for (const seq of [1, 2, 3]) line.add(message(seq, seq * 30_000));
  assert.deepEqual(seqs(shown.splice(0)), [1, 2, 3]);
  line.rewind(45_000);
  assert.deepEqual(shown, []);
  line.add(message(3, 90_000));
  line.advance(60_000);
  line.advance(90_000);
  assert.deepEqual(seqs(shown), [2, 3]);
});

test('metadata relate media time and ticks exactly, a discontinuity moves only what follows it', () => {
  const clock = new MediaClock();
  assert.equal(clock.pts({ time: 1, date: undefined }), undefined);
  clock.sawTime(10, 900_000);
  clock.sawTime(20, 3_600_000);
  assert.equal(clock.pts({ time: 12, date: undefined }), 1_080_000);
  assert.equal(clock.pts({ time: 19.5, date: undefined }), 1_755_000);
  assert.equal(clock.pts({ time: 21, date: undefined }), 3_690_000);
});

test('without metadata dates relate them, to a millisecond', () => {
  const clock = new MediaClock();
  clock.sawDate(1_795_305_600_000, 123_456);
  const pts = clock.pts({ time: 5, date: 1_795_305_602_000 });
  assert.equal(pts, 123_456 + 180_000);
  assert.equal(clock.date(123_456 + 180_000), 1_795_305_602_000);
});

test('the value is read from an ID3 tag, whatever stands beside it', () => {
  const value = { v: 1, epoch: 'e', pts: 90_000, events: [message(1, 90_000)], reactions: { '❤': 12 }, text: 'x'.repeat(3000) };
  assert.deepEqual(readId3(tag(['other', 'ignored'], ['nowcast', JSON.stringify(value)])), [value]);
});

test('a tag that is cut off, or none at all, says nothing and throws nothing', () => {
  const whole = tag(['nowcast', JSON.stringify({ v: 1, epoch: 'e' })]);
  for (let length = 0; length < whole.length; length++) assert.deepEqual(readId3(whole.subarray(0, length)), []);
  assert.deepEqual(readId3(tag(['nowcast', 'not JSON'], ['nowcast', '7'])), []);
});

test('a date range tells its event and its result', () => {
  const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const opened = { seq: 1, epoch: 'e', id: 'p', kind: 'poll.opened', body: { question: 'Schön?' } };
  const result = { seq: 9, epoch: 'e', id: 'p', kind: 'poll.result', body: {} };
  assert.deepEqual(readDateRange({ 'X-NOWCAST-EVENT': encode(opened), 'X-NOWCAST-RESULT': encode(result) }), [opened, result]);
  assert.deepEqual(readDateRange({ 'X-NOWCAST-EVENT': '%%%' }), []);
});

test('a poll keeps its newest revision and its result, in every order of its tallies', () => {
  const opened = { id: 'p', kind: 'poll.opened', body: { question: '?', options: [{ id: '1', text: 'a' }, { id: '2', text: 'b' }] } };
  const tally = (rev: number, votes: number[]): RoomEvent => ({ id: 'p', kind: 'poll.tally', body: { poll: 'p', rev, votes, voters: rev } });
  const result = {
    id: 'p',
    kind: 'poll.result',
    body: { poll: 'p', rev: 7, options: [{ id: '1', text: 'a', votes: 4 }, { id: '2', text: 'b', votes: 3 }], voters: 7 },
  };
  const votes = (events: RoomEvent[]): (number | undefined)[] => {
    const state = emptyState();
    for (const event of events) apply(state, structuredClone(event));
    return [...state.polls[0]!.options.map((option) => option.votes), state.polls[0]!.rev];
  };
  assert.deepEqual(votes([opened, tally(2, [1, 1]), tally(1, [1, 0])]), [1, 1, 2]);
  assert.deepEqual(votes([opened, tally(2, []), tally(2, [1, 1])]), [1, 1, 2], 'who has voted sees what others do not');
  assert.deepEqual(votes([opened, result, tally(6, [3, 3])]), [4, 3, 7]);
  assert.deepEqual(votes([opened, tally(6, [3, 3]), opened, result]), [4, 3, 7]);
});
