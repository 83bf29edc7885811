// Stock hls.js and Shaka side by side for MINUTES on each way to the server: direct, through nginx, through Varnish.
//
//   node tests/soak/players.mjs [MINUTES]
//
// Tells each minute how it goes, then what was wrong; exit status 1 if anything was. hls.js's stalls are told and not
// judged: docs/players.md says what it loses by itself.
import { glassToGlass, launch, serveStockPlayers, sleep, stalls, startServer, STOCK_PLAYERS } from '../browser/lib.mjs';
import { openRoute, partsShare, playerErrors, ROUTES, switchFault, Viewer } from '../browser/routes.mjs';

const MINUTE = 60_000;
const SETTLE_MS = 20_000;
/** Of the media's time, as parts. */
const SHARE = 0.99;
/** How far the median latency of a minute may move from the first minute's, in milliseconds. */
const DRIFT_MS = 300;

const minutes = Number(process.argv[2] ?? 30);
if (!(minutes > 0)) {
  console.error('usage: players.mjs [MINUTES]');
  process.exit(2);
}

const faults = [];

/** Watches one way; notes what is wrong. */
async function watch(route, { server, browser, stock }) {
  const way = await openRoute(route, server.base);
  const playlist = `${way.base}/live/live/index.m3u8`;
  const viewers = await Promise.all(STOCK_PLAYERS.map((player) => Viewer.open(browser, stock, player, playlist)));
  try {
    await Promise.all(viewers.map((viewer) => viewer.playing()));
    await sleep(SETTLE_MS);
    const from = Date.now();
    const before = await Promise.all(viewers.map((viewer) => viewer.seen()));
    const medians = viewers.map(() => []);
    for (let left = minutes * MINUTE; left > 0; left -= MINUTE) {
      const since = Date.now();
      await sleep(Math.min(left, MINUTE));
      for (const [index, viewer] of viewers.entries()) {
        const seen = await viewer.seen(from);
        const { median, p95 } = glassToGlass({ record: { samples: seen.record.samples.filter(({ at }) => at >= since) } });
        medians[index].push(median);
        const stalled = stalls(seen) - stalls(before[index]);
        console.log(`${route} ${viewer.player} minute ${medians[index].length}: latency ${median} ms (p95 ${p95}), ${stalled} stalls, ${JSON.stringify(seen.fetched)}`);
      }
    }
    for (const [index, viewer] of viewers.entries()) {
      const seen = await viewer.seen(from);
      const fault = (text) => faults.push(`${route} ${viewer.player}: ${text}`);
      const share = partsShare(seen.fetched);
      console.log(`${route} ${viewer.player}: ${(share * 100).toFixed(2)} % of the media as parts, ${seen.record.pictures} pictures, ${seen.dropped} dropped`);
      if (share < SHARE) fault(`only ${(share * 100).toFixed(1)} % of the media came as parts`);
      const drift = Math.max(...medians[index].map((median) => Math.abs(median - medians[index][0])));
      if (drift > DRIFT_MS) fault(`the latency moved by ${drift} ms`);
      const stalled = stalls(seen) - stalls(before[index]);
      if (stalled > 0 && viewer.player !== 'hls.js') fault(`${stalled} stalls`);
      for (const error of [...playerErrors(seen), ...seen.refused]) fault(error);
      const wrong = switchFault(viewer.player, await viewer.switchVariant());
      if (wrong) fault(wrong);
    }
  } finally {
    await Promise.all(viewers.map((viewer) => viewer.close()));
    await way.stop();
  }
}

const server = await startServer();
const browser = await launch();
const stock = await serveStockPlayers();
try {
  for (const route of ROUTES) await watch(route, { server, browser, stock });
} finally {
  await browser.close();
  await stock.stop();
  await server.stop();
}
console.log(faults.length === 0 ? '\nNo fault.' : `\n${faults.length} faults:`);
for (const fault of new Set(faults)) console.log(`${faults.filter((other) => other === fault).length} × ${fault}`);
process.exitCode = faults.length === 0 ? 0 : 1;
