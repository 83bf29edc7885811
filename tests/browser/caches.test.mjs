// Stock players through the caches of deploy/: the short form of tests/soak/players.mjs.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { glassToGlass, sleep, stalls, STOCK_PLAYERS, stockRig } from './lib.mjs';
import { openRoute, partsShare, playerErrors, ROUTES, switchFault, Viewer } from './routes.mjs';

const WATCH_MS = 5000;
/** Of the media's time, as parts. */
const SHARE = 0.99;

const rig = stockRig({ before, after });

for (const route of ROUTES) {
  for (const player of STOCK_PLAYERS) {
    // One after the other: two players beside the encoder are more than two cores draw in time.
    test(`stock ${player} plays by parts and switches variants, ${route}`, async (t) => {
      const way = await openRoute(route, rig.server.base);
      const viewer = await Viewer.open(rig.browser, rig.stock, player, `${way.base}/live/live/index.m3u8`);
      try {
        await viewer.playing();
        const from = Date.now();
        await sleep(WATCH_MS);
        const seen = await viewer.seen(from);
        const { fetched } = seen;
        const latency = glassToGlass(seen);
        t.diagnostic(`${seen.record.pictures} pictures, ${stalls(seen)} stalls, ${JSON.stringify({ fetched, latency })}`);
        assert.deepEqual(playerErrors(seen), []);
        assert.deepEqual(seen.refused, []);
        assert.ok(partsShare(fetched) >= SHARE, `only ${partsShare(fetched)} of the media as parts: ${JSON.stringify(fetched)}`);
        assert.equal(switchFault(player, await viewer.switchVariant()), undefined);
      } finally {
        await viewer.close();
        await way.stop();
      }
    });
  }
}
