// One fault, over and over, against a running server with stock hls.js and Shaka on it; `nowcast lint` judges its playlists.
//
//   node tests/chaos/run.mjs FAULT [SECONDS]
//
// Prints the row of docs/reliability.md; exit status 1 where a player met an error, a rule was broken, or more was cut than
// the fault may cut.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { launch, nowcast, serveStockPlayers, sleep, stalls, STOCK_PLAYERS } from '../browser/lib.mjs';
import { playerErrors, Viewer } from '../browser/routes.mjs';
import { FAULTS, repeat } from './faults.mjs';
import { Site } from './site.mjs';

const run = promisify(execFile);
const [name, seconds = 60] = process.argv.slice(2);
const scenario = FAULTS[name];
if (!scenario || !(seconds > 0)) {
  console.error(`usage: run.mjs FAULT [SECONDS]; FAULT is one of ${Object.keys(FAULTS).join(', ')}`);
  process.exit(2);
}

/** How long a player's position stood still at most, in seconds, looked at ten times a second. */
class Stillness {
  constructor(viewer) {
    this.longest = 0;
    this.done = this.#watch(viewer);
  }

  async #watch(viewer) {
    let [position, since] = [-1, Date.now()];
    while (!this.stopped) {
      const now = await viewer.page.evaluate(() => document.querySelector('video').currentTime);
      if (now !== position) [position, since] = [now, Date.now()];
      this.longest = Math.max(this.longest, (Date.now() - since) / 1000);
      await sleep(100);
    }
  }

  async stop() {
    this.stopped = true;
    await this.done;
  }
}

/** The longest time without the publisher's own picture, in seconds; on the slate its clock cannot be read. */
function longestAbsence({ record: { samples } }, from) {
  const times = samples.map(({ at }) => at).filter((at) => at >= from);
  return Math.max(0, ...times.slice(1).map((at, index) => at - times[index])) / 1000;
}

const site = await Site.open(scenario);
const browser = await launch();
const stock = await serveStockPlayers();
const faults = [];
try {
  const playlist = `${site.base}/live/live/index.m3u8`;
  const viewers = await Promise.all(STOCK_PLAYERS.map((player) => Viewer.open(browser, stock, player, playlist)));
  await Promise.all(viewers.map((viewer) => viewer.playing()));
  await sleep(8000);
  const from = Date.now();
  const before = await Promise.all(viewers.map((viewer) => viewer.seen()));
  const still = viewers.map((viewer) => new Stillness(viewer));
  const watched = site.watch();
  const lint = run(nowcast(), ['lint', playlist, '--for', `${seconds}s`, '--json']).catch((failed) => failed);

  const times = await repeat(site, scenario, Number(seconds));
  await Promise.all(still.map((one) => one.stop()));
  const { gaps, discontinuities, ended } = await watched.stop();
  const { stdout } = await lint;
  // It gives up where nobody listens.
  const report = JSON.parse(stdout || '{"violations":"–","findings":[]}');

  const cells = [];
  for (const [index, viewer] of viewers.entries()) {
    const seen = await viewer.seen(from);
    const errors = [...playerErrors(seen), ...seen.refused];
    const stalled = stalls(seen) - stalls(before[index]);
    const absence = longestAbsence(seen, from);
    cells.push(`${still[index].longest.toFixed(1)} s still, ${stalled} stalls, ${errors.length} errors`);
    console.log(`${viewer.player}: ${(seen.position - before[index].position).toFixed(1)} s played in ${((Date.now() - from) / 1000).toFixed(1)} s, own picture away for at most ${absence.toFixed(1)} s`);
    // While nobody listens, requests fail: what a player makes of it must not be fatal.
    const counted = scenario.refuses ? errors.filter((error) => error.endsWith(', fatal')) : errors;
    for (const error of new Set(counted)) faults.push(`${viewer.player}: ${errors.filter((other) => other === error).length} × ${error}`);
    await viewer.close();
  }
  const broken = report.findings.filter(({ rule, severity }) => severity !== 'advice' && !(rule === 'cadence' && scenario.hesitates));
  for (const { rule, excerpt, message, count } of broken) faults.push(`lint: ${count} × ${rule}: ${message}: ${excerpt}`);
  const allowed = times * (scenario.discontinuities ?? 0);
  if (discontinuities > allowed) faults.push(`${discontinuities} discontinuities, at most ${allowed} expected`);
  if (ended) faults.push('the stream ended');
  const residual = scenario.compare ? await site.residual() : undefined;
  const lost = residual ? `; ${residual}` : '';
  console.log(`\n| ${name} | ${times} | ${gaps} | ${discontinuities} | ${cells.join(' | ')} | ${report.violations}${lost} |`);
} finally {
  await browser.close();
  await stock.stop();
  await site.close();
}
console.log(faults.length === 0 ? '\nNo fault.' : `\n${faults.join('\n')}`);
process.exitCode = faults.length === 0 ? 0 : 1;
