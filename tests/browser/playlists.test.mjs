// Playlists of a live run, read by three parsers that are not ours.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { require, startServer } from './lib.mjs';

// hls.js expects a browser's global object; its CommonJS build keeps the parser to itself.
globalThis.self = globalThis;
const { M3U8Parser } = await import(require.resolve('hls.js').replace(/\.js$/, '.mjs'));
const { Parser } = require('m3u8-parser');
const hlsParser = require('hls-parser');

/** Playlists followed per rendition: more than two segments of ten parts. */
const RELOADS = 25;

let server;
const folder = mkdtempSync(join(tmpdir(), 'nowcast-playlists-'));

/** Half a minute of a picture with two tracks of sound. */
function bilingual() {
  const file = join(folder, 'bilingual.ts');
  const inputs = ['testsrc2=size=640x360:rate=30', 'sine=440:sample_rate=48000', 'sine=880:sample_rate=44100'];
  execFileSync('ffmpeg', [
    ...['-loglevel', 'error', ...inputs.flatMap((input) => ['-f', 'lavfi', '-i', input]), '-t', '30'],
    ...['-map', '0', '-map', '1', '-map', '2', '-metadata:s:a:0', 'language=eng', '-metadata:s:a:1', 'language=ger'],
    ...['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p', '-g', '30', '-c:a', 'aac', '-f', 'mpegts', file],
  ]);
  return file;
}

before(async () => {
  server = await startServer(bilingual());
});

after(async () => {
  await server?.stop();
  rmSync(folder, { recursive: true });
});

async function text(url) {
  const response = await fetch(url);
  const body = await response.text();
  assert.equal(response.status, 200, `${url}: ${response.status} ${body}`);
  return body;
}

/** hls.js reads what a server starts with a while after its first publisher. */
async function multivariant() {
  const url = `${server.base}/live/live/index.m3u8`;
  const body = await text(url);
  const parsed = M3U8Parser.parseMasterPlaylist(body, url);
  assert.equal(parsed.playlistParsingError, null);
  const audio = M3U8Parser.parseMasterPlaylistMedia(body, url, parsed).AUDIO ?? [];
  return { url, body, levels: parsed.levels, audio };
}

const hasPicture = ({ width, height }) => width > 0 && height > 0;

const readWithHls = (body, url, type) => M3U8Parser.parseLevelPlaylist(body, url, 0, type, 0, null);

function readWithM3u8Parser(body) {
  const parser = new Parser();
  const warnings = [];
  parser.on('warn', ({ message }) => warnings.push(message));
  parser.push(body);
  parser.end();
  return { manifest: parser.manifest, warnings };
}

const near = (a, b) => Math.abs(a - b) < 1e-4;

/** What must hold in every playlist. */
function check(body, url, type) {
  const details = readWithHls(body, url, type);
  assert.equal(details.playlistParsingError, null);
  assert.ok(details.live && details.canBlockReload && details.partList.length > 0);
  assert.ok(details.partHoldBack >= 3 * details.partTarget - 1e-9, 'PART-HOLD-BACK is at least three parts');
  assert.ok(details.holdBack >= 3 * details.targetduration);
  assert.ok(details.preloadHint?.URI, 'the next part is hinted');
  assert.ok(details.renditionReports.length > 0, 'the other renditions are reported');

  const last = details.partList.at(-1);
  for (const part of details.partList) {
    const closes = part === last || details.partList[details.partList.indexOf(part) + 1].index === 0;
    assert.ok(part.duration <= details.partTarget + 1e-9, `part ${part.relurl} is too long`);
    assert.ok(closes || part.independent || part.duration >= 0.85 * details.partTarget, `part ${part.relurl} is too short`);
    if (part.index === 0) assert.ok(part.independent, 'a segment begins with an independent part');
  }
  for (const fragment of details.fragments) {
    assert.ok(Math.round(fragment.duration) <= details.targetduration);
    assert.ok(fragment.programDateTime, `segment ${fragment.sn} has no date`);
    const parts = details.partList.filter((part) => part.fragment.sn === fragment.sn);
    if (parts[0]?.index === 0 && fragment.sn <= details.endSN) {
      assert.ok(near(parts.reduce((sum, part) => sum + part.duration, 0), fragment.duration), `segment ${fragment.sn} is not its parts`);
    }
  }

  const { manifest, warnings } = readWithM3u8Parser(body);
  assert.deepEqual(warnings, []);
  assert.equal(manifest.mediaSequence, details.startSN);
  assert.equal(manifest.targetDuration, details.targetduration);
  assert.ok(near(manifest.partTargetDuration, details.partTarget));
  const complete = manifest.segments.filter(({ uri }) => uri);
  assert.equal(complete.length, details.endSN - details.startSN + 1);
  // The open segment is apart from the others.
  const segments = new Set([...manifest.segments, manifest.preloadSegment ?? {}]);
  const parts = [...segments].flatMap((segment) => segment.parts ?? []);
  assert.equal(parts.length, details.partList.length);

  const third = hlsParser.parse(body);
  assert.equal(third.mediaSequenceBase, details.startSN);
  assert.equal(third.lowLatencyCompatibility.partHoldBack, details.partHoldBack);
  return details;
}

test('the multivariant playlist is the same to every parser, best variant first to last', async () => {
  const { body, levels, audio } = await multivariant();
  const { manifest, warnings } = readWithM3u8Parser(body);
  const third = hlsParser.parse(body);
  assert.deepEqual(warnings, []);
  assert.equal(manifest.playlists.length, levels.length);
  assert.equal(third.variants.length, levels.length);
  assert.equal(levels.filter(hasPicture).length, levels.length - 1);
  const soundOnly = levels.at(-1);
  assert.equal(soundOnly.attrs.CODECS, 'mp4a.40.2');
  assert.equal(soundOnly.url, audio[0].url);
  for (const level of levels.slice(0, -1)) {
    assert.match(level.attrs.CODECS, /^(avc1|hvc1)\.[^,]+,mp4a\.40\.2$/);
    assert.ok(level.attrs.decimalFloatingPoint('FRAME-RATE') > 0);
    assert.ok(level.attrs.decimalInteger('AVERAGE-BANDWIDTH') <= level.attrs.decimalInteger('BANDWIDTH'));
  }
});

test('every audio track is listed under its language, to every parser', async () => {
  const { body, audio } = await multivariant();
  const expected = [['English', 'en', true], ['German', 'de', false]];
  assert.deepEqual(audio.map(({ name, lang, default: first }) => [name, lang, first]), expected);
  assert.ok(audio.every(({ autoselect }) => autoselect));
  const group = readWithM3u8Parser(body).manifest.mediaGroups.AUDIO.audio;
  assert.deepEqual(Object.entries(group).map(([name, it]) => [name, it.language, it.default]), expected);
  for (const variant of hlsParser.parse(body).variants) {
    assert.deepEqual(variant.audio.map(({ name, language, isDefault = false }) => [name, language, isDefault]), expected);
  }
});

test('followed by blocking reload, every rendition grows part by part and never takes anything back', async () => {
  const { levels, audio } = await multivariant();
  const renditions = [...levels.filter(hasPicture).map(({ url }) => ({ url, type: 'main' })), ...audio.map(({ url }) => ({ url, type: 'audio' }))];
  await Promise.all(
    renditions.map(async ({ url, type }) => {
      const known = new Map();
      let previous = check(await text(url), url, type);
      for (let reload = 0; reload < RELOADS; reload++) {
        const closed = previous.lastPartSn === previous.endSN;
        const [msn, part] = closed ? [previous.endSN + 1, 0] : [previous.lastPartSn, previous.lastPartIndex + 1];
        const details = check(await text(`${url}?_HLS_msn=${msn}&_HLS_part=${part}`), url, type);
        const advanced = details.lastPartSn > previous.lastPartSn || details.lastPartIndex > previous.lastPartIndex;
        assert.ok(advanced, `asked for ${msn}.${part}, got ${details.lastPartSn}.${details.lastPartIndex}`);
        assert.equal(details.partTarget, previous.partTarget);
        assert.equal(details.targetduration, previous.targetduration);
        for (const { fragment, index, relurl, duration } of details.partList) {
          const name = `${fragment.sn}.${index}`;
          const now = `${relurl} ${duration}`;
          assert.equal(known.get(name) ?? now, now, `part ${name} changed`);
          known.set(name, now);
        }
        previous = details;
      }
    }),
  );
});
