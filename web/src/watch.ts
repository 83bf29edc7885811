/** `/watch/STREAM`: plays the stream, says what is wrong when it cannot, and starts by itself when it can. */

import { Backoff, clockOffset, streamStatus, type StreamStatus } from './api.ts';
import type { Audience, AudienceOptions } from './audience.ts';
import { AUTO, Player, type Failure } from './player.ts';
import { Reporter, type Playback } from './report.ts';

type State = 'connecting' | 'playing' | 'stalled' | 'offline';

const find = <T extends Element = HTMLElement>(selector: string): T => {
  const found = document.querySelector<T>(selector);
  if (!found) throw new Error(`no element ${selector}`);
  return found;
};

const stage = find('#stage');
const video = find<HTMLVideoElement>('#video');
const live = find('#live');
const quality = find<HTMLSelectElement>('#quality');

const stream = decodeURIComponent(location.pathname.split('/')[2] ?? '');
const playlist = `/live/${encodeURIComponent(stream)}/index.m3u8`;

/** Silence for so long is worth asking the server about. */
const STALL_QUESTION_MS = 2000;
/** Farther behind than this and the button says so, in seconds. */
const BEHIND = 3;
const IDLE_MS = 3000;
const SEEK_STEP = 5;

const backoff = new Backoff();
let player: Player | undefined;
let audience: Promise<Audience | undefined> | undefined;
let serverAhead = 0;
let errors = 0;
let stalls = 0;
let idleTimer = 0;
let stallTimer = 0;

// ------------------------------------------------------------ start, failure, start again

function start(): void {
  player?.destroy();
  show('connecting');
  const current = new Player(video, playlist);
  player = current;
  void audience?.then((joined) => current.hls && joined?.attach(current.hls));
  current.addEventListener('playing', () => {
    clearTimeout(stallTimer);
    backoff.reset();
    show('playing');
    loadAudience();
  });
  current.addEventListener('stalled', () => {
    stalls++;
    show('stalled');
    clearTimeout(stallTimer);
    stallTimer = window.setTimeout(() => void explainStall(), STALL_QUESTION_MS);
  });
  current.addEventListener('qualities', renderQualities);
  current.addEventListener('failed', (event) => void onFailure((event as CustomEvent<Failure>).detail));
}

async function onFailure(failure: Failure): Promise<void> {
  clearTimeout(stallTimer);
  const wasPlaying = stage.dataset['state'] !== 'offline' && stage.dataset['state'] !== 'connecting';
  player?.destroy();
  player = undefined;
  if (failure === 'browser') {
    say('This browser cannot play live video.', 'A current Chrome, Edge, Firefox or Safari can.');
  } else if (failure === 'codec') {
    say('This browser cannot decode this stream.', 'Try another browser: Safari and Edge know most formats.');
  } else {
    if (failure === 'media' || (failure === 'network' && wasPlaying)) stage.dataset['errors'] = String(++errors);
    await poll();
  }
}

/** Asks how the stream is, says so, and starts once it can be played. */
async function poll(): Promise<void> {
  const status = await streamStatus(stream);
  const playable = typeof status === 'object' && (status.phase === 'live' || status.phase === 'waiting');
  if (playable && stage.dataset['state'] === 'offline') {
    start();
    return;
  }
  if (playable) show('connecting');
  else explain(status);
  // Before the show, and after it, people talk all the same.
  if (typeof status === 'object') loadAudience();
  setTimeout(() => (playable ? start() : void poll()), backoff.next());
}

async function explainStall(): Promise<void> {
  const status = await streamStatus(stream);
  if (stage.dataset['state'] === 'stalled' && (typeof status === 'string' || status.phase !== 'live')) {
    explain(status);
    show('stalled');
  }
}

function explain(status: StreamStatus | 'unknown' | 'unreachable'): void {
  if (status === 'unreachable') {
    say('The server cannot be reached.', 'This page keeps trying.');
  } else if (status === 'unknown') {
    say(`There is no stream called “${stream}”.`, 'Check the address, or pick one that is live.');
  } else if (status.phase === 'unsupported') {
    say('This stream cannot be shown.', status.problem ?? 'The publisher sends a format that the server does not carry.');
  } else if (status.phase === 'ended') {
    say('The stream has ended.', 'If it comes back, it starts here by itself.');
  } else if (status.phase === 'waiting') {
    say('The broadcaster’s connection is lost.', 'The picture goes on by itself as soon as they are back.');
  } else if (status.phase === 'idle') {
    say('The stream has not started yet.', 'It starts here by itself as soon as it does.');
  } else {
    say('The stream is about to start.', 'The first picture is a few seconds away.');
  }
}

function say(headline: string, advice: string): void {
  const [title, text] = [find('#headline'), find('#advice')];
  // Written only when it changes, so that a screen reader says it once.
  if (title.textContent !== headline) title.textContent = headline;
  if (text.textContent !== advice) text.textContent = advice;
  show('offline');
}

function show(state: State): void {
  if (state === 'playing' || state === 'connecting') {
    find('#headline').textContent = '';
    find('#advice').textContent = '';
  }
  stage.dataset['state'] = state;
  renderPlay();
}

// ------------------------------------------------------------ the audience

/** Chat, polls and questions, after the first picture; the page plays without them if they do not come. */
function loadAudience(): void {
  audience ??= joinAudience().catch((error: unknown) => {
    console.warn('the audience’s part of the page did not load', error);
    find('#audience').textContent = 'Chat, polls and questions cannot be reached. Reload the page to try again.';
    return undefined;
  });
}

async function joinAudience(): Promise<Audience> {
  const { audience: script = '', audienceStyle: style = '' } = document.body.dataset;
  const sheet = Object.assign(document.createElement('link'), { rel: 'stylesheet', href: style });
  document.head.append(sheet);
  const { join } = (await import(script)) as { join: (options: AudienceOptions) => Audience };
  const joined = join({ stream, video, hls: player?.hls, panel: find('#audience'), overlay: find('#overlay'), missed: renderMissed });
  return joined;
}

function renderMissed(number: number): void {
  find('#missed').textContent = number > 99 ? '99+' : number > 0 ? String(number) : '';
}

/** Shows or hides the panel, and keeps that for the next visit. */
function togglePanel(): void {
  const panel = find('#audience');
  const shown = panel.offsetParent === null;
  document.body.dataset['panel'] = shown ? 'shown' : 'hidden';
  find('#toggle').setAttribute('aria-expanded', String(shown));
  try {
    localStorage.setItem('nowcast.panel', document.body.dataset['panel']);
  } catch {
    // Then it is as the screen's size has it.
  }
}

function restorePanel(): void {
  try {
    document.body.dataset['panel'] = localStorage.getItem('nowcast.panel') ?? '';
  } catch {
    // Nothing is kept in this browser.
  }
  find('#toggle').setAttribute('aria-expanded', String(find('#audience').offsetParent !== null));
}

// ------------------------------------------------------------ controls

function togglePlay(): void {
  if (!player) return;
  if (video.paused) {
    void video.play();
  } else {
    player.following = false;
    video.pause();
  }
}

function toggleMute(): void {
  video.muted = !video.muted;
  if (!video.muted && video.volume === 0) video.volume = 0.5;
}

function changeVolume(by: number): void {
  video.volume = Math.min(Math.max(video.volume + by, 0), 1);
  video.muted = video.volume === 0;
}

function toggleFull(): void {
  if (document.fullscreenElement) void document.exitFullscreen();
  else if (stage.requestFullscreen) void stage.requestFullscreen();
  // iPhone: only the video itself can fill the screen.
  else (video as { webkitEnterFullscreen?: () => void }).webkitEnterFullscreen?.();
}

function seek(by: number): void {
  const { seekable } = video;
  if (!player || seekable.length === 0) return;
  const end = seekable.end(seekable.length - 1);
  const position = video.currentTime + by;
  if (position >= end - BEHIND) {
    backToLive();
  } else {
    player.following = false;
    video.currentTime = Math.max(position, seekable.start(0));
  }
}

function backToLive(): void {
  if (player) player.following = true;
}

const KEYS: Record<string, () => void> = {
  ' ': togglePlay,
  k: togglePlay,
  m: toggleMute,
  f: toggleFull,
  l: backToLive,
  ArrowLeft: () => seek(-SEEK_STEP),
  ArrowRight: () => seek(SEEK_STEP),
  ArrowUp: () => changeVolume(0.1),
  ArrowDown: () => changeVolume(-0.1),
  c: togglePanel,
};

function onKey(event: KeyboardEvent): void {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  // Who writes, or chooses a tab, does not mean the player.
  if (event.target instanceof Element && event.target.closest('#audience, textarea, input')) return;
  const onControl = event.target instanceof Element && event.target.closest('button, select, a');
  // Space and the arrows belong to the control that has the focus.
  if (onControl && (event.key === ' ' || (onControl instanceof HTMLSelectElement && event.key.length > 1))) return;
  const action = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action) return;
  event.preventDefault();
  action();
  wake();
}

/** Shows the controls, and hides them again once nothing moves. */
function wake(): void {
  delete stage.dataset['idle'];
  clearTimeout(idleTimer);
  idleTimer = window.setTimeout(() => {
    if (!video.paused && !stage.querySelector('#controls :focus-visible')) stage.dataset['idle'] = '';
  }, IDLE_MS);
}

// ------------------------------------------------------------ what is seen

function renderPlay(): void {
  stage.toggleAttribute('data-paused', video.paused);
  find('#play').setAttribute('aria-label', video.paused ? 'Play' : 'Pause');
}

function renderSound(): void {
  stage.toggleAttribute('data-muted', video.muted);
  find('#mute').setAttribute('aria-pressed', String(!video.muted));
}

function renderQualities(): void {
  if (!player) return;
  const { playing, chosen } = player.quality;
  const rungs = player.qualities;
  const current = rungs.find(({ index }) => index === playing)?.label;
  const options = [
    new Option(chosen === AUTO && current ? `Auto (${current})` : 'Auto', String(AUTO), false, chosen === AUTO),
    ...rungs.map(({ label, index }) => new Option(label, String(index), false, index === chosen)),
  ];
  quality.replaceChildren(...options);
  find('.quality').hidden = rungs.length < 2;
}

/** Seconds from a picture's entering the server to its being on screen here. */
function latencyOf(date: number | undefined): number | undefined {
  return date === undefined ? undefined : (Date.now() + serverAhead - date) / 1000;
}

/** What is told of the player while it plays. */
function observe(): Playback | undefined {
  const { state } = stage.dataset;
  if (!player || video.paused || (state !== 'playing' && state !== 'stalled')) return undefined;
  const { buffered, bitrate, playingDate } = player;
  return { latency: latencyOf(playingDate), buffered, bitrate, stalls, stalled: state === 'stalled' };
}

function renderLatency(): void {
  const latency = latencyOf(player?.playingDate);
  const { state } = stage.dataset;
  if (latency === undefined || (state !== 'playing' && state !== 'stalled')) {
    find('#latency').textContent = '';
    return;
  }
  const behind = !player?.following && latency > BEHIND;
  find('#latency').textContent = `${latency.toFixed(1)} s`;
  find('#live-label').textContent = behind ? 'Back to live' : 'Live';
  live.classList.toggle('behind', behind);
  live.setAttribute('aria-label', `${behind ? 'Back to live' : 'Live'}, ${latency.toFixed(0)} seconds behind`);
  Object.assign(stage.dataset, {
    latency: latency.toFixed(3),
    distance: player?.distance?.toFixed(3) ?? '',
    target: player?.target?.toFixed(3) ?? '',
    rate: video.playbackRate.toFixed(2),
    stalls: String(player?.stalls ?? 0),
  });
}

find('#name').textContent = stream;
document.title = `${stream} · nowcast`;
find('#play').addEventListener('click', togglePlay);
find('#mute').addEventListener('click', toggleMute);
find('#unmute').addEventListener('click', toggleMute);
find('#full').addEventListener('click', toggleFull);
find('#toggle').addEventListener('click', togglePanel);
live.addEventListener('click', backToLive);
quality.addEventListener('change', () => player?.choose(Number(quality.value)));
video.addEventListener('click', () => (stage.dataset['idle'] === undefined ? togglePlay() : undefined));
video.addEventListener('volumechange', renderSound);
video.addEventListener('play', renderPlay);
video.addEventListener('pause', renderPlay);
for (const event of ['pointermove', 'pointerdown', 'focusin']) stage.addEventListener(event, wake);
document.addEventListener('keydown', onKey);
document.addEventListener('fullscreenchange', () =>
  find('#full').setAttribute('aria-pressed', String(document.fullscreenElement !== null)),
);

restorePanel();
start();
wake();
setInterval(renderLatency, 250);
new Reporter(stream, observe);
// After the first picture, so as not to stand in its way.
video.addEventListener('playing', () => void clockOffset().then((offset) => (serverAhead = offset ?? 0)), { once: true });
