// A publisher that is killed and started again: players that are not ours play on, through the slate.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { launch, serveStockPlayers, sleep, stalls, STOCK_PLAYERS } from './lib.mjs';
import { House } from './room.mjs';
import { playerErrors, Viewer } from './routes.mjs';

/** Between two losses, and how long the publisher is away: noticed by its silence alone, or replaced before that. */
const PLAYS_MS = 5000;
const AWAY_MS = [4000, 500];
const SETTLE_MS = 6000;

let house, browser, stock;
before(async () => {
  house = await House.open('transcode');
  browser = await launch();
  stock = await serveStockPlayers();
});
after(async () => {
  await browser?.close();
  await stock?.stop();
  await house?.close();
});

test('stock players play through a publisher that is killed and comes back with another picture', async (t) => {
  const playlist = `${house.base}/live/live/index.m3u8`;
  const viewers = await Promise.all(STOCK_PLAYERS.map((player) => Viewer.open(browser, stock, player, playlist)));
  await Promise.all(viewers.map((viewer) => viewer.playing()));
  await sleep(SETTLE_MS);
  const from = Date.now();
  const start = await Promise.all(viewers.map((viewer) => viewer.seen()));
  for (const [index, away] of AWAY_MS.entries()) {
    house.publisher.kill('SIGKILL');
    await once(house.publisher, 'exit');
    await sleep(away);
    house.publish(index % 2 ? '640x360' : '426x240');
    await sleep(PLAYS_MS);
  }
  for (const [index, viewer] of viewers.entries()) {
    const seen = await viewer.seen();
    const [before, played] = [start[index], seen.position - start[index].position];
    const lasted = (Date.now() - from) / 1000;
    const errors = playerErrors(seen);
    t.diagnostic(`${viewer.player}: ${played.toFixed(1)} s played in ${lasted.toFixed(1)} s, ${stalls(seen) - stalls(before)} stalls, errors: ${errors.join() || 'none'}`);
    // What a player gets over by itself is told; a busy machine makes it stall.
    assert.deepEqual(errors.filter((text) => /fatal$/.test(text)), [], viewer.player);
    assert.equal(seen.error, undefined, viewer.player);
    assert.deepEqual(seen.refused, [], viewer.player);
    assert.ok(Math.abs(played - lasted) < 3, `${viewer.player} played ${played} s in ${lasted} s`);
    assert.ok(seen.record.pictures > before.record.pictures + 100, 'the picture is back');
    await viewer.close();
  }
});
