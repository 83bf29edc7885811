// What the browser tests share: a running server, a Chromium, players with a latency record, and figures.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** Resolves packages from web/node_modules, where `npm ci` puts them. */
export const require = createRequire(here('../../web/package.json'));
const { chromium } = require('playwright-core');

/** The profile that the latency aims are stated for. */
const CONFIG = `
[srt]
latency = "120ms"

[[stream]]
name = "live"
open = true
part = "200ms"
ladder = "h264-720p"
`;

/** The binary under test. */
export function nowcast() {
  const binary = process.env.NOWCAST ?? [here('../../target/release/nowcast'), here('../../target/debug/nowcast')].find(existsSync);
  if (!binary) throw new Error('no nowcast binary: run `./x build`, or name one in NOWCAST');
  return binary;
}

/** A `nowcast demo` of its own, with a picture it draws or what the file `source` holds; or the server at `NOWCAST_URL` if that is set. */
export async function startServer(source) {
  if (process.env.NOWCAST_URL) return { base: process.env.NOWCAST_URL.replace(/\/$/, ''), stop: async () => {} };
  const binary = nowcast();
  const folder = await mkdtemp(join(tmpdir(), 'nowcast-browser-'));
  const config = join(folder, 'nowcast.toml');
  await writeFile(config, CONFIG);
  const addresses = ['--http', '127.0.0.1:0', '--srt', '127.0.0.1:0', '--ops', '127.0.0.1:0'];
  const from = source ? ['--source', source] : [];
  const server = spawn(binary, ['--config', config, 'demo', '--json', ...addresses, ...from], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(server, 'exit');
  const ready = once(createInterface(server.stdout), 'line');
  const outcome = await Promise.race([ready, exited.then(([code]) => new Error(`nowcast demo ended with status ${code}`))]);
  if (outcome instanceof Error) throw outcome;
  const stop = async () => {
    server.kill('SIGINT');
    await exited;
    await rm(folder, { recursive: true, force: true });
  };
  const { watch, playlist } = JSON.parse(outcome[0]);
  // The address is printed before there is anything to play.
  const late = Date.now() + 20_000;
  while (!(await fetch(playlist)).ok) {
    if (Date.now() > late) throw new Error(`${playlist} does not play after 20 s`);
    await sleep(100);
  }
  return { base: new URL(watch).origin, stop };
}

/** A Chromium with a profile of its own. */
export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--no-first-run',
      '--autoplay-policy=no-user-gesture-required',
    ],
  });
}

/**
 * Has every page of `context` keep, from its first moment, `window.record` (see clock.js), the media events that
 * bear on smoothness as `window.events`, and the errors that reach the page as `window.faults`.
 */
export async function instrument(context) {
  await context.addInitScript({ path: here('clock.js') });
  await context.addInitScript(() => {
    window.events = [];
    window.faults = [];
    addEventListener('error', ({ message }) => window.faults.push(message));
    addEventListener('unhandledrejection', ({ reason }) => window.faults.push(String(reason)));
    addEventListener('DOMContentLoaded', () => {
      const video = document.querySelector('video');
      if (!video) return;
      window.record = recordLatency(video);
      for (const type of ['playing', 'waiting', 'seeked', 'error']) {
        video.addEventListener(type, () => window.events.push({ type, at: performance.now(), position: video.currentTime }));
      }
    });
  });
}

/** Everything a page has recorded so far. */
export async function observe(page) {
  return page.evaluate(() => {
    const video = document.querySelector('video');
    const stage = document.querySelector('#stage');
    return {
      record: window.record,
      events: window.events,
      faults: window.faults,
      position: video.currentTime,
      dropped: video.getVideoPlaybackQuality().droppedVideoFrames,
      error: video.error?.message,
      page: { ...stage?.dataset },
    };
  });
}

/** Times the buffer ran dry after the first picture. */
export function stalls({ events }) {
  const first = events.findIndex(({ type }) => type === 'playing');
  return first < 0 ? Infinity : events.slice(first).filter(({ type }) => type === 'waiting').length;
}

/** Glass-to-glass latency in milliseconds of the pictures from `settle` ms after the first one on. */
export function glassToGlass({ record: { samples } }, settle = 0) {
  const settled = samples.filter(({ at }) => at >= samples[0].at + settle).map(({ latency }) => latency);
  settled.sort((a, b) => a - b);
  const at = (share) => settled[Math.min(Math.floor(settled.length * share), settled.length - 1)];
  return { samples: settled.length, min: settled[0], median: at(0.5), p95: at(0.95), max: settled.at(-1) };
}

export const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

/** Waits until `check` of the page's stage data holds. */
export async function stageBecomes(page, state, timeout = 15_000) {
  await page.waitForFunction((wanted) => document.querySelector('#stage')?.dataset.state === wanted, state, { timeout });
}

const STOCK = {
  'hls.js': {
    script: require.resolve('hls.js').replace(/hls\.js$/, 'hls.min.js'),
    start: `const hls = new Hls();
      hls.on(Hls.Events.ERROR, (_, { details, fatal }) => errors.push(fatal ? details + ', fatal' : details));
      hls.loadSource(source);
      hls.attachMedia(video);`,
  },
  Shaka: {
    script: require.resolve('shaka-player'),
    start: `const player = new shaka.Player();
      player.addEventListener('error', ({ detail }) => errors.push(detail + (detail.severity === 2 ? ', fatal' : '')));
      player.attach(video).then(() => player.load(source));`,
  },
};

/** The stock players' names. */
export const STOCK_PLAYERS = Object.keys(STOCK);

/** Serves a page per stock player, with the library's defaults; `url(player, playlist)` names it. */
export async function serveStockPlayers() {
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    const [, player, file] = pathname.split('/').map(decodeURIComponent);
    const stock = STOCK[player];
    if (!stock) {
      response.writeHead(404).end();
    } else if (file === 'player.js') {
      response.writeHead(200, { 'content-type': 'text/javascript' }).end(await readFile(stock.script));
    } else {
      response.writeHead(200, { 'content-type': 'text/html' }).end(`<!doctype html>
        <video muted autoplay playsinline style="width: 100%"></video>
        <script src="player.js"></script>
        <script>
          const video = document.querySelector('video');
          const errors = [];
          const source = new URLSearchParams(location.search).get('source');
          ${stock.start}
        </script>`);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  return {
    url: (player, playlist) => `http://127.0.0.1:${port}/${encodeURIComponent(player)}/?source=${encodeURIComponent(playlist)}`,
    stop: () => new Promise((done) => {
      server.closeAllConnections();
      server.close(done);
    }),
  };
}

/** A server, a Chromium and stock players for all tests of a file, started and stopped by its hooks. */
export function stockRig({ before, after }) {
  const rig = {};
  before(async () => {
    rig.server = await startServer();
    rig.browser = await launch();
    rig.stock = await serveStockPlayers();
  });
  after(async () => {
    await rig.browser?.close();
    await rig.stock?.stop();
    await rig.server?.stop();
  });
  return rig;
}
