import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LatencyController, LiveEdge } from '../src/latency.ts';

const PART = 0.2;
const TICK = 0.2;

/** A player on a stream whose edge is `now`: plays at the controller's speed, jumps when told to. */
function play(controller: LatencyController, latency: number, seconds: number, from = 0): { latency: number; rate: number; jumps: number }[] {
  const history = [];
  let jumps = 0;
  for (let now = from; now < from + seconds; now += TICK) {
    // What is buffered ends one to two parts behind the edge.
    const ahead = Math.max(latency - PART * (1 + (now % PART) / PART), 0);
    const decision = controller.update({ now, latency, listed: latency, ahead, starved: false });
    const rate = decision === 'jump' ? 1 : decision;
    if (decision === 'jump') {
      jumps++;
      latency = controller.target;
    }
    latency -= (rate - 1) * TICK;
    history.push({ latency, rate, jumps });
  }
  return history;
}

const last = <T>(items: T[]): T => items[items.length - 1] as T;

test('the target is two parts and a margin, never less', () => {
  for (const part of [0.2, 0.33334, 1]) {
    const { target } = new LatencyController(part);
    assert.ok(target >= 2 * part && target <= 2 * part + 0.3, `${target} for parts of ${part} s`);
  }
});

for (const start of [0.3, 0.7, 1.2, 2.2]) {
  test(`from ${start} s behind it settles at the target within 20 s, without overshoot, swing or jump`, () => {
    const controller = new LatencyController(PART);
    const history = play(controller, start, 30);
    const side = Math.sign(start - controller.target);
    for (const { latency, rate, jumps } of history) {
      assert.ok(side * (latency - controller.target) > -0.02, `overshot to ${latency}`);
      assert.ok(rate >= 0.9 && rate <= 1.15, `played at ${rate}`);
      assert.equal(jumps, 0);
    }
    const settled = history.slice(20 / TICK);
    assert.ok(settled.every(({ latency }) => Math.abs(latency - controller.target) < 0.05));
    assert.ok(settled.every(({ rate }) => rate === 1), 'the speed rests once settled');
  });
}

test('far behind it jumps once instead of hurrying', () => {
  const controller = new LatencyController(PART);
  const history = play(controller, 12, 10);
  assert.equal(last(history).jumps, 1);
  assert.ok(Math.abs(last(history).latency - controller.target) < 0.05);
});

test('a thin buffer is never drained faster than real time', () => {
  const controller = new LatencyController(PART);
  assert.equal(controller.update({ now: 0, latency: 1.5, listed: 1.4, ahead: 0.05, starved: false }), 1);
});

test('a stall moves the target back at once, a second one within the same second does not add', () => {
  const controller = new LatencyController(PART);
  const before = controller.target;
  controller.stalled(10);
  const after = controller.target;
  controller.stalled(10.4);
  assert.ok(after > before);
  assert.equal(controller.target, after);
});

test('ten thousand stalls move the target back by a bounded amount', () => {
  const controller = new LatencyController(PART);
  const before = controller.target;
  for (let stall = 0; stall < 10_000; stall++) controller.stalled(stall * 5);
  assert.ok(controller.target - before <= 2);
});

test('minutes without a stall bring the target back, slower than the viewer can hear', () => {
  const controller = new LatencyController(PART);
  const best = controller.target;
  controller.stalled(0);
  const pushed = controller.target;
  const soon = play(controller, pushed, 100);
  assert.equal(controller.target, pushed, 'too early to dare again');
  const later = play(controller, last(soon).latency, 200, 100);
  assert.equal(controller.target, best);
  assert.ok(Math.abs(last(later).latency - best) < 0.05);
  assert.ok(later.every(({ rate }) => rate <= 1.03));
});

/** When a player that stands still from `now = 0` on is told to jump, within `seconds`. */
function jumpsWhileStarved(controller: LatencyController, listed: (now: number) => number, seconds: number): number[] {
  const jumps = [];
  for (let now = 0; now < seconds; now += TICK) {
    const state = { now, latency: 0.5 + now, listed: listed(now), ahead: 0, starved: true };
    if (controller.update(state) === 'jump') jumps.push(now);
  }
  return jumps;
}

test('starved although more is listed, it jumps soon, and ever more rarely if that does not help', () => {
  const jumps = jumpsWhileStarved(new LatencyController(PART), () => 3, 20);
  assert.ok(jumps.length >= 3 && jumps.length <= 6, `jumped at ${jumps}`);
  assert.ok((jumps[0] as number) < 1);
  const waits = jumps.map((at, jump) => at - (jumps[jump - 1] ?? 0));
  assert.ok(waits.every((wait, jump) => jump === 0 || wait > (waits[jump - 1] as number)), `jumped at ${jumps}`);
});

test('starved because the publisher is silent, it waits', () => {
  assert.deepEqual(jumpsWhileStarved(new LatencyController(PART), () => 0.1, 20), []);
});

test('late playlists do not move the edge, and there is none before the first', () => {
  const edge = new LiveEdge();
  assert.equal(edge.at(0), undefined);
  for (let part = 0; part < 100; part++) {
    const due = part * PART;
    // Every part but each fifth is up to 0.15 s late.
    const late = part % 5 === 0 ? 0 : ((part * 7) % 16) / 100;
    edge.observe(due + late, 50 + due, 1.6);
    assert.ok(Math.abs((edge.at(due + late) as number) - (50 + due + late)) < 1e-9);
  }
  assert.equal(edge.listed, 50 + 99 * PART);
});

test('the edge follows a publisher whose clock is slow', () => {
  const edge = new LiveEdge();
  const slow = 0.999;
  for (let part = 0; part < 3000; part++) edge.observe((part * PART) / slow, part * PART, 1.6);
  const now = (2999 * PART) / slow;
  assert.ok(Math.abs((edge.at(now) as number) - 2999 * PART) < 0.02);
});

test('after a pause of the publisher the old edge is forgotten', () => {
  const edge = new LiveEdge();
  for (let part = 0; part < 20; part++) edge.observe(part * PART, part * PART, 1.6);
  edge.observe(14, 20 * PART, 1.6);
  assert.equal(edge.at(14), 20 * PART);
});
