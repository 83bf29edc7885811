// A server with a small ladder, a publisher that comes back as broadcasters' encoders do, the network between them, and for
// comparison libsrt's own receiver behind the same network.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nowcast, sleep } from '../browser/lib.mjs';
import { freePort } from '../browser/routes.mjs';
import { BadNetwork } from './network.mjs';

const quiet = { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, NOWCAST_LOG: 'error' } };
/** How long an encoder waits before it calls again. */
const REDIAL_MS = 300;

export class Site {
  static async open({ mode = 'transcode', network, latency = 120 }) {
    const folder = await mkdtemp(join(tmpdir(), 'nowcast-chaos-'));
    const [http, ops, srt] = [await freePort(), await freePort(), await freePort()];
    const config = `
      [srt]
      listen = "127.0.0.1:${srt}"
      latency = "${latency}ms"
      [http]
      listen = "127.0.0.1:${http}"
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
    const site = new Site();
    Object.assign(site, { folder, latency, impairment: network, base: `http://127.0.0.1:${http}`, ops: `http://127.0.0.1:${ops}` });
    if (network) {
      site.network = await BadNetwork.open(srt, network);
      await site.#compare();
    }
    site.srt = site.network?.port ?? srt;
    site.#startServer();
    await site.#answers(`${site.base}/api/v1/streams`);
    site.#publish();
    const multivariant = `${site.base}/live/live/index.m3u8`;
    await site.#answers(multivariant);
    const lines = (await (await fetch(multivariant)).text()).split('\n');
    site.media = new URL(lines.find((line) => line && !line.startsWith('#')), multivariant);
    return site;
  }

  #startServer() {
    this.server = spawn(nowcast(), ['--config', join(this.folder, 'nowcast.toml'), 'serve'], quiet);
  }

  #publish() {
    const url = `srt://127.0.0.1:${this.srt}?streamid=live&latency=${this.latency * 1000}`;
    const publisher = this.network ? this.#ffmpeg(url) : spawn(nowcast(), ['publish', '--size', '640x360', url], quiet);
    this.publisher = publisher;
    publisher.on('exit', async () => {
      await sleep(this.away ?? REDIAL_MS);
      if (!this.closed && this.publisher === publisher) this.#publish();
    });
  }

  /** A sender of libsrt: what differs then is the receiver alone. */
  #ffmpeg(url) {
    const inputs = ['-re', '-f', 'lavfi', '-i', 'testsrc2=s=640x360:r=30,noise=alls=12:allf=t', '-f', 'lavfi', '-i', 'sine=r=48000'];
    const video = ['-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-g', '30', '-b:v', '2M', '-maxrate', '2M', '-bufsize', '500k'];
    return spawn('ffmpeg', ['-hide_banner', '-loglevel', 'fatal', ...inputs, ...video, '-c:a', 'aac', '-f', 'mpegts', url], quiet);
  }

  /** The publisher is killed; it is back after so many milliseconds. */
  async losePublisher(away) {
    const { publisher } = this;
    this.away = away;
    publisher.kill('SIGKILL');
    while (this.publisher === publisher) await sleep(50);
    this.away = undefined;
  }

  /** The server dies by `signal`, and is started again on its addresses and its state. */
  async restartServer(signal) {
    const { server } = this;
    server.kill(signal);
    await once(server, 'exit');
    this.#startServer();
    await this.#answers(`${this.base}/api/v1/streams`);
  }

  /** Libsrt's own receiver behind a network of its own that does the same. */
  async #compare() {
    const port = await freePort();
    this.other = { network: await BadNetwork.open(port, this.impairment), log: '' };
    const listener = `srt://127.0.0.1:${port}?mode=listener&latency=${this.latency}`;
    const receiver = spawn('srt-live-transmit', ['-s', '200', '-f', '-pf', 'json', listener, `udp://127.0.0.1:${await freePort()}`], { stdio: ['ignore', 'pipe', 'inherit'] });
    receiver.stdout.on('data', (text) => (this.other.log += text));
    this.other.receiver = receiver;
    await sleep(500);
    this.other.sender = this.#ffmpeg(`srt://127.0.0.1:${this.other.network.port}?latency=${this.latency * 1000}`);
  }

  /** What stayed lost, here and with libsrt's own receiver, as a sentence. */
  async residual() {
    if (!this.other) return undefined;
    const { ingest } = await (await fetch(`${this.ops}/api/v1/streams/live`)).json();
    const share = (dropped, all) => `${((dropped / Math.max(all, 1)) * 100).toFixed(3)} % (${dropped} of ${all})`;
    const last = this.other.log.split('\n').filter((line) => line.includes('"recv"')).at(-1);
    const { recv } = last ? JSON.parse(last.replace(/^,/, '')) : { recv: {} };
    return `lost for good: ${share(ingest.packets_dropped, ingest.packets)}, srt-live-transmit ${share(recv.packetsDropped, recv.packets)}`;
  }

  /** Follows a media playlist: the parts that are gaps, and its discontinuities. */
  watch() {
    const gaps = new Set();
    const state = { discontinuities: 0, ended: false };
    let stopped = false;
    const watching = (async () => {
      let first;
      while (!stopped) {
        const text = await fetch(this.media).then((answer) => (answer.ok ? answer.text() : '')).catch(() => '');
        if (text) {
          for (const [, uri] of text.matchAll(/^#EXT-X-PART:.*URI="([^"]+)".*GAP=YES/gm)) gaps.add(uri);
          for (const [, uri] of text.matchAll(/^#EXT-X-PART:.*GAP=YES.*URI="([^"]+)"/gm)) gaps.add(uri);
          const sequence = Number(/^#EXT-X-DISCONTINUITY-SEQUENCE:(\d+)/m.exec(text)?.[1] ?? 0);
          const all = sequence + [...text.matchAll(/^#EXT-X-DISCONTINUITY$/gm)].length;
          first ??= all;
          state.discontinuities = all - first;
          state.ended ||= text.includes('#EXT-X-ENDLIST');
        }
        await sleep(250);
      }
    })();
    const stop = async () => {
      stopped = true;
      await watching;
      return { gaps: gaps.size, ...state };
    };
    return { stop };
  }

  async #answers(url) {
    const late = Date.now() + 30_000;
    while (!(await fetch(url).catch(() => undefined))?.ok) {
      if (Date.now() > late) throw new Error(`${url} does not answer after 30 s`);
      await sleep(50);
    }
  }

  async close() {
    this.closed = true;
    for (const child of [this.publisher, this.server, this.other?.receiver, this.other?.sender]) {
      if (!child || child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    this.network?.close();
    this.other?.network.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}
