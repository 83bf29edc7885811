// A room to test in: a server that can be killed and started again on its addresses and its state, a small picture with
// a clock pushed into it, the host at the command line, and watch pages that remember which picture showed what.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { fileURLToPath } from 'node:url';
import { nowcast, sleep } from './lib.mjs';
import { freePort } from './routes.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const run = promisify(execFile);

/** Milliseconds from one picture to the next. */
export const FRAME_MS = 1000 / 30;
/** Ticks of 90 kHz in a picture. */
export const FRAME = 3000;

/** A server with one stream, `live`, which passes through what is pushed, or encodes it. */
export class House {
  static async open(mode = 'passthrough') {
    const folder = await mkdtemp(join(tmpdir(), 'nowcast-room-'));
    const [http, ops, srt] = [await freePort(), await freePort(), await freePort()];
    const config = `
      [srt]
      listen = "127.0.0.1:${srt}"
      latency = "120ms"
      [http]
      listen = "127.0.0.1:${http}"
      trusted_proxies = ["127.0.0.1/32"]
      [ops]
      listen = "127.0.0.1:${ops}"
      [state]
      dir = "${join(folder, 'state')}"
      [[stream]]
      name = "live"
      open = true
      part = "200ms"
      mode = "${mode}"
    `;
    await writeFile(join(folder, 'nowcast.toml'), config);
    const house = new House(folder, `http://127.0.0.1:${http}`, `srt://127.0.0.1:${srt}?streamid=live`);
    await house.start();
    return house;
  }

  constructor(folder, base, srt) {
    Object.assign(this, { folder, base, srt });
  }

  /** Starts the server and its publisher; comes back when there is something to play. */
  async start() {
    const stdio = ['ignore', 'ignore', 'inherit'];
    const quiet = { stdio, env: { ...process.env, NOWCAST_LOG: 'error' } };
    this.server = spawn(nowcast(), ['--config', join(this.folder, 'nowcast.toml'), 'serve'], quiet);
    await this.answers(`${this.base}/api/v1/streams`, () => true);
    this.publish('640x360');
    await this.answers(`${this.base}/live/live/index.m3u8`, () => true);
  }

  /** Starts a publisher with a picture of this size. */
  publish(size) {
    const quiet = { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, NOWCAST_LOG: 'error' } };
    this.publisher = spawn(nowcast(), ['publish', '--size', size, this.srt], quiet);
  }

  /** Waits until an address answers as wanted. */
  async answers(url, wanted) {
    const late = Date.now() + 30_000;
    for (;;) {
      const answer = await fetch(url).catch(() => undefined);
      if (answer?.ok && wanted(await answer.text())) return;
      if (Date.now() > late) throw new Error(`${url} does not answer after 30 s`);
      await sleep(50);
    }
  }

  /** As a machine that loses its power does it. */
  async kill() {
    for (const child of [this.publisher, this.server]) {
      if (!child || child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  }

  async close() {
    await this.kill();
    await rm(this.folder, { recursive: true, force: true });
  }

  /** What `nowcast WORDS --json` answers. */
  async host(...words) {
    const { stdout } = await run(nowcast(), ['--config', join(this.folder, 'nowcast.toml'), ...words, '--json']);
    return JSON.parse(stdout);
  }

  /** An address of the studio, by the route that begins with `base`. */
  async studio(base = this.base) {
    const { code } = await this.host('token', 'studio', 'live');
    return `${base}/studio/live#${code}`;
  }

  /** A viewer without a page. */
  async visitor(base = this.base) {
    const { token, viewer } = await (await fetch(`${base}/api/v1/session`, { method: 'POST' })).json();
    const send = async (kind, body) => {
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
      const op = JSON.stringify({ op_id: crypto.randomUUID(), kind, body });
      const answer = await fetch(`${base}/api/v1/streams/live/ops`, { method: 'POST', headers, body: op });
      return answer.json();
    };
    return { token, viewer, send };
  }

  /**
   * The pictures of the segment `msn`, by another decoder, ffmpeg, on the bytes as the server has them: `{ pts, clock }`, the place in
   * ticks of 90 kHz and the burnt-in clock, the low 32 bits of Unix milliseconds.
   */
  async pictures(msn) {
    const text = async (url) => (await fetch(url)).text();
    const master = `${this.base}/live/live/index.m3u8`;
    const rendition = (await text(master)).split('\n').find((line) => /^[^#].*\.m3u8/.test(line));
    const playlist = new URL(rendition, master).href;
    let segment;
    let map;
    await this.answers(playlist, (told) => {
      const first = Number(/#EXT-X-MEDIA-SEQUENCE:(\d+)/.exec(told)[1]);
      segment = told.split('\n').filter((line) => /^[^#].*\.m4s/.test(line))[msn - first];
      map = /#EXT-X-MAP:URI="([^"]+)"/.exec(told)?.[1];
      return segment !== undefined;
    });
    const bytes = await Promise.all([map, segment].map(async (uri) => Buffer.from(await (await fetch(new URL(uri, playlist))).arrayBuffer())));
    const file = join(this.folder, 'segment.mp4');
    await writeFile(file, Buffer.concat(bytes));
    const band = 'showinfo,crop=iw:ih/24:0:ih/48,scale=160:4,format=gray';
    const options = ['-nostdin', '-hide_banner', '-copyts', '-i', file, '-map', '0:v', '-vf', band, '-fps_mode', 'passthrough', '-f', 'rawvideo', '-'];
    const { stdout, stderr } = await run('ffmpeg', options, { encoding: 'buffer', maxBuffer: 1 << 26 });
    const times = [...String(stderr).matchAll(/ n: *\d+ pts: *\d+ pts_time:([\d.]+)/g)].map(([, time]) => Number(time) * 90_000);
    return times.map((pts, place) => ({ pts, clock: clockOf(stdout.subarray(place * 640, (place + 1) * 640)) }));
  }
}

/** The clock in 160 × 4 pixels of grey: see clock.js. */
function clockOf(pixels) {
  const bits = Array.from({ length: 40 }, (_, block) => {
    let luma = 0;
    for (let row = 0; row < 4; row++) for (const column of [1, 2]) luma += pixels[row * 160 + block * 4 + column];
    return luma / 8 > 127 ? 1 : 0;
  });
  if (bits.slice(0, 4).join('') !== '1010') throw new Error(`no clock: ${bits.join('')}`);
  return parseInt(bits.slice(4, 36).join(''), 2);
}

/** `a − b` of two clocks, in milliseconds. */
export const apart = (a, b) => (a - b) | 0;

/**
 * Has every page of `context` keep the media time in seconds and the clock of each picture it shows as `window.pictures`, for
 * each text that is looked for what was shown when it came into view as `window.shown`, and what failed as `window.faults`.
 */
export async function watchClosely(context) {
  await context.addInitScript({ path: here('clock.js') });
  await context.addInitScript(() => {
    Object.assign(window, { pictures: [], shown: {}, faults: [], wanted: new Set() });
    addEventListener('error', ({ message }) => window.faults.push(message));
    addEventListener('unhandledrejection', ({ reason }) => window.faults.push(String(reason)));
    addEventListener('DOMContentLoaded', () => {
      const video = document.querySelector('#video');
      if (!video) return;
      const reader = new ClockReader();
      const onPicture = (_, { mediaTime }) => {
        const clock = reader.read(video);
        if (clock !== undefined) window.pictures.push({ time: mediaTime, clock });
        video.requestVideoFrameCallback(onPicture);
      };
      video.requestVideoFrameCallback(onPicture);
      // A poll's are its question and how it stands.
      const words = (place) => (place.matches('.poll') ? `${words(place.querySelector('h3'))} ${words(place.querySelector('.time'))}` : place.textContent);
      new MutationObserver(() => {
        for (const text of window.wanted) {
          const places = document.querySelectorAll('.poll h3, .poll, .dock p, .said .text, .announcement span, .spotlight .text');
          if (![...places].some((place) => words(place) === text && place.checkVisibility())) continue;
          window.wanted.delete(text);
          window.shown[text] = { place: window.pictures.length - 1, onScreen: reader.read(video) };
        }
      }).observe(document.body, { childList: true, subtree: true, characterData: true, attributes: true });
    });
  });
}

/** From now on a page looks out for a text. */
export const lookFor = (page, text) => page.evaluate((wanted) => void window.wanted.add(wanted), text);

/**
 * Waits for a text that is looked for: the `pictures` that the browser has announced, the `place` of the one it had announced last when
 * the text came, and the clock `onScreen` a moment later, when a busy machine may be at the next picture already.
 */
export async function cameWith(page, text) {
  await page.waitForFunction((wanted) => window.shown[wanted], text);
  return page.evaluate((wanted) => ({ pictures: window.pictures, ...window.shown[wanted] }), text);
}

/** The clock that a text came with, by what most pictures say of how clock and media time are apart. */
export function clockWith({ pictures, place }) {
  const offsets = pictures.map(({ time, clock }) => apart(clock, Math.round(time * 1000))).sort((a, b) => a - b);
  return (Math.round(pictures[place].time * 1000) + offsets[offsets.length >> 1]) >>> 0;
}

/**
 * How many milliseconds of picture after its frame a text came: `chosen`, after the frame at `pts`; `first`, after the first one shown of that frame
 * or those after it. `segment` is what ffmpeg made of the same pictures, which are known again by their clocks.
 */
export function offFrame({ pictures, place }, segment, pts) {
  const known = new Map(segment.map((picture) => [picture.clock, picture.pts]));
  // A late look at an announced picture reads the next one's clock, never the one's before.
  const offsets = pictures.filter(({ clock }) => known.has(clock)).map(({ time, clock }) => time * 90_000 - known.get(clock));
  if (offsets.length === 0) throw new Error('no picture of that segment was read');
  const offset = Math.max(...offsets);
  const ticks = (picture) => picture.time * 90_000 - offset;
  const first = pictures.find((picture) => ticks(picture) >= pts - FRAME / 2);
  const milliseconds = (from) => Math.round((ticks(pictures[place]) - from) / 90);
  // Who is too early has not shown it yet.
  return { chosen: milliseconds(pts), first: milliseconds(first ? ticks(first) : pts) };
}

/** A watch page with a picture and, unless it is to stay outside, a place in the room. */
export async function watch(context, base, { outside = false } = {}) {
  const page = await context.newPage();
  await page.goto(`${base}/watch/live`);
  await page.waitForFunction(() => window.pictures.length > 5, undefined, { timeout: 30_000 });
  if (!outside) await page.waitForFunction(() => window.nowcastRoom?.connection === 'open' && window.nowcastRoom.position !== undefined);
  return page;
}

/** Chooses a tab of the panel. */
export const tab = (page, id) => page.locator(`#tab-${id}`).click();

/** Writes into the chat. */
export async function say(page, text) {
  const field = page.locator('.chat textarea');
  await field.fill(text);
  await field.press('Enter');
}

/** The page falls behind by as long as it is paused. */
export async function fallBehind(page, milliseconds) {
  await page.keyboard.press('k');
  await sleep(milliseconds);
  await page.keyboard.press('k');
}

/** How far the picture is behind, in milliseconds. */
export const behind = (page) => page.evaluate(() => (Date.now() - window.pictures.at(-1).clock) | 0);

/** A way through to the server that notes what is asked of it; `base` is where it stands. */
export async function counted(base) {
  const { hostname, port } = new URL(base);
  const asked = [];
  const server = createServer((client) => {
    const origin = connect(Number(port), hostname);
    // Who asks waits for the answer before it asks again: a request begins what arrives.
    client.on('data', (bytes) => {
      const [, target] = /^(?:GET|HEAD|POST) (\S+) HTTP/.exec(bytes.toString('latin1')) ?? [];
      if (target) asked.push(target);
    });
    client.pipe(origin).pipe(client);
    for (const end of [client, origin]) end.on('error', () => [client, origin].forEach((each) => each.destroy()));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { base: `http://127.0.0.1:${server.address().port}`, asked, stop: () => server.close() };
}
