// Players that are not ours, with nothing but their defaults: glass-to-glass latency in each of five starts.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { glassToGlass, instrument, launch, observe, serveStockPlayers, sleep, stalls, startServer } from './lib.mjs';

const STARTS = 5;
const WATCH_MS = 12_000;
const SETTLE_MS = 4000;
/** What each start's median should not exceed, in milliseconds; told, not judged: it depends on the machine's load. */
const AIMS = { 'hls.js': 1300, Shaka: 1100 };
/** Pictures that a start must show, of about 240: hls.js can lose seconds at its start to parts it lost the marks of. */
const PICTURES = 60;

let server;
let browser;
let stock;

before(async () => {
  server = await startServer();
  browser = await launch();
  stock = await serveStockPlayers();
});

after(async () => {
  await browser?.close();
  await stock?.stop();
  await server?.stop();
});

/** Starts of five that must play. Shaka loses some of its starts, for a reason not found yet (docs/players.md). */
const MUST_PLAY = { 'hls.js': STARTS, Shaka: 1 };

for (const [player, aim] of Object.entries(AIMS)) {
  test(`stock ${player} plays, ${MUST_PLAY[player]} starts of five at the least`, async (t) => {
    const medians = [];
    for (let start = 1; start <= STARTS; start++) {
      const context = await browser.newContext();
      await instrument(context);
      const page = await context.newPage();
      await page.goto(stock.url(player, `${server.base}/live/live/index.m3u8`));
      await sleep(WATCH_MS);
      const seen = await observe(page);
      await context.close();
      assert.equal(seen.error, undefined);
      if (seen.record.samples.length < PICTURES) {
        t.diagnostic(`start ${start}: ${seen.record.samples.length} pictures`);
        continue;
      }
      const latency = glassToGlass(seen, SETTLE_MS);
      t.diagnostic(`start ${start}: glass to glass, ms: ${JSON.stringify(latency)}; ${stalls(seen)} stalls`);
      medians.push(latency.median);
    }
    t.diagnostic(`medians: ${medians.join(', ')} ms; aim: ${aim} ms`);
    assert.ok(medians.length >= MUST_PLAY[player], `only ${medians.length} starts played`);
  });
}
