// The ways from a server to a player: direct, and through nginx and Varnish with the configurations of deploy/; and
// stock players on them, with what they fetch.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { instrument, observe, sleep } from './lib.mjs';

const shipped = (path) => readFile(fileURLToPath(new URL(`../../deploy/${path}`, import.meta.url)), 'utf8');

/** A port of loopback that nobody has at this moment. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

function replaced(config, pairs) {
  for (const [old, now] of pairs) {
    if (!config.includes(old)) throw new Error(`the configuration has no "${old}" any more`);
    config = config.replaceAll(old, now);
  }
  return config;
}

const CACHES = {
  nginx: async (folder, port, origin) => {
    const config = replaced(await shipped('nginx/nginx.conf'), [
      ['user www-data;', 'daemon off;'],
      ['/run/nginx.pid', `${folder}/pid`],
      ['access_log /var/log/nginx/access.log combined buffer=64k flush=5s;', 'access_log off;'],
      ['/var/log/nginx/error.log', 'stderr'],
      ['/var/lib/nginx', folder],
      ['/etc/nginx/?.lua', `${folder}/?.lua`],
      ['listen 80 ', `listen 127.0.0.1:${port} `],
      ['server 127.0.0.1:8080;', `server ${origin};`],
    ]);
    await writeFile(join(folder, 'nginx.conf'), config);
    await writeFile(join(folder, 'collapse.lua'), await shipped('nginx/collapse.lua'));
    return ['/usr/sbin/nginx', '-e', 'stderr', '-c', join(folder, 'nginx.conf')];
  },
  Varnish: async (folder, port, origin) => {
    const config = replaced(await shipped('varnish/default.vcl'), [['"8080"', `"${origin.split(':')[1]}"`]]);
    await writeFile(join(folder, 'default.vcl'), config);
    const options = ['-F', '-j', 'none', '-s', 'malloc,256M', '-a', `127.0.0.1:${port}`];
    return ['/usr/sbin/varnishd', ...options, '-n', join(folder, 'work'), '-f', join(folder, 'default.vcl')];
  },
};

/** The names of the ways. */
export const ROUTES = ['direct', ...Object.keys(CACHES)];

/** Opens one way to the server at `base`: what its URLs begin with then, and how to close it. */
export async function openRoute(route, base) {
  if (route === 'direct') return { base, stop: async () => {} };
  const folder = await mkdtemp(join(tmpdir(), 'nowcast-cache-'));
  // For the cache's processes, which have a user of their own.
  await chmod(folder, 0o777);
  const port = await freePort();
  const [program, ...options] = await CACHES[route](folder, port, new URL(base).host);
  const log = [];
  const cache = spawn(program, options, { stdio: ['ignore', 'pipe', 'pipe'] });
  for (const stream of [cache.stdout, cache.stderr]) stream.on('data', (text) => log.push(text));
  let ended;
  cache.on('error', (error) => (ended = error));
  cache.on('exit', (status) => (ended = status));
  const late = Date.now() + 30_000;
  while (!(await accepts(port))) {
    if (ended !== undefined || Date.now() > late) throw new Error(`${program} does not start: ./x setup test\n${ended}\n${log.join('')}`);
    await sleep(50);
  }
  const stop = async () => {
    if (ended === undefined) {
      cache.kill('SIGTERM');
      await once(cache, 'exit');
    }
    await rm(folder, { recursive: true, force: true });
  };
  return { base: `http://127.0.0.1:${port}`, stop };
}

async function accepts(port) {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** What a URL of ours asks for: `{ rendition, kind }`, `kind` being part, segment, blocking or plain; else `undefined`. */
function read(url) {
  const { pathname, searchParams } = new URL(url);
  const [, rendition, file] = /^\/live\/[^/]+\/[^/]+\/([^/]+)\/([^/]+)$/.exec(pathname) ?? [];
  if (/^p(\d+-)?\d+\.m4s$/.test(file)) return { rendition, kind: 'part' };
  if (/^s(\d+-)?\d+\.m4s$/.test(file)) return { rendition, kind: 'segment' };
  if (file === 'index.m3u8') return { rendition, kind: searchParams.has('_HLS_msn') ? 'blocking' : 'plain' };
  return undefined;
}

/** How to make a stock player go on in another variant than the present one. */
const SWITCH = {
  'hls.js': 'hls.loadLevel = hls.loadLevel === 0 ? 1 : 0',
  // It hides for a second what it has met an error in.
  Shaka: `new Promise((done) => {
    player.configure('abr.enabled', false);
    const look = setInterval(() => {
      const other = player.getVariantTracks().find(({ active }) => !active);
      if (!other) return;
      clearInterval(look);
      player.selectVariantTrack(other);
      done();
    }, 50);
  })`,
};

/** Which share of the media's time came as parts; a segment of 2 s is ten of them. */
export function partsShare({ parts, segments }) {
  return parts / (parts + 10 * segments);
}

/** What a player called an error, but for hls.js's notes of a stall, which are counted as stalls. */
export function playerErrors({ errors, faults, error }) {
  return [...errors.filter((text) => !/^buffer(Stalled|NudgeOnStall|SeekOverHole)/.test(text)), ...faults, ...(error ? [error] : [])];
}

/**
 * What is wrong with the playlist requests of a switch, if anything. hls.js begins with the position that the rendition report
 * gives; Shaka 5.2.12 does not read the reports and asks once without a position.
 */
export function switchFault(player, kinds) {
  if (!kinds) return 'it stays in its variant';
  const plain = kinds.filter((kind) => kind === 'plain').length;
  const allowed = player === 'Shaka' ? 1 : 0;
  return plain > allowed ? `it switched by ${plain} playlists without a position: ${kinds.join(', ')}` : undefined;
}

/** A stock player in a context of its own. */
export class Viewer {
  static async open(browser, stock, player, playlist) {
    const context = await browser.newContext({ viewport: { width: 640, height: 360 } });
    await instrument(context);
    const viewer = new Viewer(player, context, await context.newPage());
    await viewer.page.goto(stock.url(player, playlist));
    return viewer;
  }

  /** Requests in the order they were made: `{ at, rendition, kind }`. */
  requests = [];
  /** Answers that were errors, and requests without an answer. */
  refused = [];

  constructor(player, context, page) {
    Object.assign(this, { player, context, page });
    page.on('request', (request) => {
      const asked = read(request.url());
      if (asked) this.requests.push({ at: Date.now(), ...asked });
    });
    page.on('response', (response) => {
      if (response.status() >= 400 && read(response.url())) this.refused.push(`${response.status()} ${response.url()}`);
    });
  }

  /** Waits until a second of pictures was shown. */
  playing() {
    return this.page.waitForFunction(() => window.record?.pictures > 30, undefined, { timeout: 15_000 });
  }

  /** Everything so far; media is counted from the time `from` on. */
  async seen(from = 0) {
    const seen = await observe(this.page);
    const count = (kind) => this.requests.filter((request) => request.at >= from && request.kind === kind).length;
    const fetched = { parts: count('part'), segments: count('segment'), blocking: count('blocking'), plain: count('plain') };
    return { ...seen, errors: await this.page.evaluate('errors'), fetched, refused: [...this.refused] };
  }

  /** Forces another variant; gives the requests for its playlist up to its first media, `undefined` if that does not come. */
  async switchVariant() {
    const video = ({ rendition, kind }) => (kind === 'part' || kind === 'segment') && !rendition.startsWith('audio');
    const present = this.requests.findLast(video).rendition;
    const since = this.requests.length;
    await this.page.evaluate(SWITCH[this.player]);
    const late = Date.now() + 10_000;
    for (;;) {
      const later = this.requests.slice(since);
      const first = later.find((request) => video(request) && request.rendition !== present);
      if (first) {
        const upTo = later.slice(0, later.indexOf(first));
        return upTo.filter(({ rendition }) => rendition === first.rendition).map(({ kind }) => kind);
      }
      if (Date.now() > late) return undefined;
      await sleep(20);
    }
  }

  close() {
    return this.context.close();
  }
}
