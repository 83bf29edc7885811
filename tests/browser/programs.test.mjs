// Players that are no browsers: each plays four seconds and finds no fault.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { createInterface } from 'node:readline';
import { startServer } from './lib.mjs';

const SECONDS = 4;
const PATIENCE_MS = 60_000;
const FAULT = /error|fail|corrupt|invalid|critical/i;

let server;
let playlist;

before(async () => {
  server = await startServer();
  playlist = `${server.base}/live/live/index.m3u8`;
});

after(async () => {
  await server?.stop();
});

/** Runs a player until it ends or `enough` lines were told; gives its exit status and what it told. */
async function run(program, options, enough = () => false) {
  const player = spawn(program, options, { stdio: ['ignore', 'pipe', 'pipe'] });
  const patience = setTimeout(() => player.kill('SIGKILL'), PATIENCE_MS);
  const told = [];
  for (const stream of [player.stdout, player.stderr]) {
    createInterface(stream).on('line', (line) => {
      told.push(line);
      if (enough(line)) player.kill('SIGINT');
    });
  }
  try {
    const [status, signal] = await once(player, 'close');
    return { status: signal ?? status, told };
  } catch (error) {
    throw new Error(`${program} does not start (${error.message}): ./x setup test`);
  } finally {
    clearTimeout(patience);
  }
}

function assertClean({ status, told }) {
  const faults = told.filter((line) => FAULT.test(line));
  assert.deepEqual({ status, faults }, { status: 0, faults: [] }, told.slice(-30).join('\n'));
}

test('ffmpeg', async () => {
  const played = await run('ffmpeg', ['-nostdin', '-hide_banner', '-v', 'error', '-re', '-i', playlist, '-t', SECONDS, '-f', 'null', '-']);
  assertClean(played);
  assert.deepEqual(played.told, []);
});

test('mpv', async () => {
  const quiet = ['--no-config', '--vo=null', '--ao=null', '--term-status-msg=', '--msg-level=all=error,cplayer=info'];
  const played = await run('mpv', [...quiet, `--length=${SECONDS}`, playlist]);
  assertClean(played);
  assert.ok(played.told.some((line) => line.includes('(End of file)')), played.told.join('\n'));
});

// The older hlsdemux of GStreamer 1.22 counts time from the first segment listed, its samples from the stream's beginning: a
// sink that goes by the clock would wait for the difference, so here its sinks take what comes.
const two = (demux) => ['a', 'b'].flatMap((name) => [`${demux}.`, '!', 'queue', '!', 'decodebin', '!', 'fakesink', `name=${name}`, 'silent=false']);
const sink = (kind, name) => `${kind}-sink=fakesink name=${name} sync=true silent=false`;
for (const [demux, pipeline] of [
  ['hlsdemux', () => ['souphttpsrc', `location=${playlist}`, '!', 'hlsdemux', 'name=d', ...two('d')]],
  ['hlsdemux2', () => ['playbin3', 'flags=video+audio', `uri=${playlist}`, sink('video', 'a'), sink('audio', 'b')]],
]) {
  test(`GStreamer, by ${demux}`, async () => {
    // Each buffer that a sink is given is a line.
    const missing = { a: 30 * SECONDS, b: 30 * SECONDS };
    const enough = (line) => {
      const [, name] = /FakeSink:([ab]): last-message = chain/.exec(line) ?? [];
      if (name) missing[name]--;
      return missing.a <= 0 && missing.b <= 0;
    };
    const { told } = await run('gst-launch-1.0', ['-v', ...pipeline()], enough);
    assert.ok(missing.a <= 0 && missing.b <= 0, `missing: ${JSON.stringify(missing)}\n${told.slice(-30).join('\n')}`);
    assert.deepEqual(told.filter((line) => line.startsWith('ERROR')), []);
    if (demux === 'hlsdemux2') assert.ok(told.some((line) => line.includes('GstHLSDemux2:')), 'another element plays');
  });
}
