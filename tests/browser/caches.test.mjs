// Stock players through the caches of deploy/: the short form of tests/soak/players.mjs.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { glassToGlass, sleep, stalls, STOCK_PLAYERS, stockRig } from './lib.mjs';
import { openRoute, partsShare, playerErrors, ROUTES, switchFault, Viewer } from './routes.mjs';

const WATCH_MS = 5000;

const rig = stockRig({ before, after });

for (const route of ROUTES) {
  test(`stock players play by parts and switch variants, ${route}`, async (t) => {
    const way = await openRoute(route, rig.server.base);
    const playlist = `${way.base}/live/live/index.m3u8`;
    const viewers = await Promise.all(STOCK_PLAYERS.map((player) => Viewer.open(rig.browser, rig.stock, player, playlist)));
    try {
      const starts = await Promise.all(viewers.map((viewer) => viewer.playing()));
      t.diagnostic(`starts: ${starts.join(', ')}`);
      const from = Date.now();
      await sleep(WATCH_MS);
      for (const viewer of viewers) {
        const seen = await viewer.seen(from);
        const { fetched } = seen;
        const latency = seen.record.samples.length > 0 ? glassToGlass(seen) : {};
        t.diagnostic(`${viewer.player}: ${seen.record.pictures} pictures, ${stalls(seen)} stalls, ${JSON.stringify({ fetched, latency })}`);
        // A machine too busy to encode in time makes players give up a request: told, and no more than that.
        const errors = playerErrors(seen);
        if (errors.length > 0) t.diagnostic(`${viewer.player}: ${errors.join('; ')}`);
        assert.deepEqual(errors.filter((error) => error.endsWith(', fatal')), [], viewer.player);
        assert.deepEqual(seen.refused, [], viewer.player);
        // A player that falls seconds behind on such a machine goes on by segments.
        assert.ok(fetched.parts > 0, `${viewer.player}: ${JSON.stringify(fetched)}`);
        t.diagnostic(`${viewer.player}: ${Math.round(100 * partsShare(fetched))} % of the media as parts`);
        const fault = switchFault(viewer.player, await viewer.switchVariant());
        // An error inside Shaka, after which it fetches no media: docs/players.md.
        const stuck = viewer.player === 'Shaka' && (await viewer.seen()).errors.some((error) => error.startsWith('TypeError'));
        if (stuck) t.diagnostic(`Shaka is stuck: ${fault}`);
        else assert.equal(fault, undefined, viewer.player);
      }
    } finally {
      await Promise.all(viewers.map((viewer) => viewer.close()));
      await way.stop();
    }
  });
}
