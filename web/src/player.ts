/** Plays one stream in one video element: hls.js where Media Source Extensions exist, else the browser's own HLS. */

import Hls, { ErrorTypes, Events, type ErrorData, type HlsConfig, type LevelDetails } from 'hls.js';
import { LatencyController, LiveEdge } from './latency.ts';

/** Why playback cannot go on by itself. */
export type Failure = 'network' | 'media' | 'ended' | 'codec' | 'browser';

/** One entry of the quality menu. */
export interface Quality {
  index: number;
  label: string;
}

/** Index of the automatic choice in {@link Player.quality}. */
export const AUTO = -1;

/** Each setting that differs from hls.js's default; the reasons and measurements are in docs/players.md. */
const CONFIG: Partial<HlsConfig> = {
  lowLatencyMode: true,
  enableWorker: false,
  maxLiveSyncPlaybackRate: 1,
  liveSyncOnStallIncrease: 0,
  liveDurationInfinity: true,
  backBufferLength: 30,
  maxBufferLength: 10,
  startFragPrefetch: true,
  testBandwidth: false,
  abrEwmaDefaultEstimate: 4_000_000,
  capLevelToPlayerSize: true,
  enableEmsgMetadataCues: false,
  enableID3MetadataCues: false,
  enableDateRangeMetadataCues: false,
  // The page asks again itself, and says why there is nothing to play.
  manifestLoadPolicy: {
    default: { maxTimeToFirstByteMs: 5000, maxLoadTimeMs: 10_000, timeoutRetry: null, errorRetry: null },
  },
};

const TRACKS = ['video', 'audio'] as const;
type Track = (typeof TRACKS)[number];

/** Playlists round to a hundred-thousandth of a second, source buffers to a microsecond. */
const SLACK = 0.005;
/** How often the controller looks, in milliseconds. */
const TICK_MS = 200;
/** A second media error within this time is not worth another recovery. */
const RECOVERY_INTERVAL_MS = 10_000;

/**
 * A player from its first request to its first failure; then it is thrown away and the next one begins.
 *
 * Emits `playing`, `stalled`, `qualities` and `failed` (a `CustomEvent<Failure>`).
 */
export class Player extends EventTarget {
  readonly #video: HTMLVideoElement;
  readonly #abort = new AbortController();
  readonly #videoEdge = new LiveEdge();
  readonly #audioEdge = new LiveEdge();
  /** What each rendition's playlist last listed, and what its source buffer holds. */
  readonly #details: Partial<Record<Track, LevelDetails>> = {};
  readonly #appended: Partial<Record<Track, TimeRanges>> = {};
  #hls: Hls | undefined;
  #controller: LatencyController | undefined;
  #timer: number | undefined;
  #recoveredAt = -Infinity;
  #started = false;
  #following = true;
  #stalls = 0;

  constructor(video: HTMLVideoElement, playlist: string) {
    super();
    this.#video = video;
    const listen = (event: string, handler: () => void): void =>
      video.addEventListener(event, handler, { signal: this.#abort.signal });
    listen('playing', () => {
      this.#started = true;
      this.dispatchEvent(new Event('playing'));
    });
    listen('waiting', () => this.#onWaiting());
    listen('ended', () => this.#fail('ended'));
    if (Hls.isSupported()) {
      this.#playWithHls(playlist);
    } else if (video.canPlayType('application/vnd.apple.mpegurl')) {
      listen('error', () => this.#fail('network'));
      video.src = playlist;
    } else {
      queueMicrotask(() => this.#fail('browser'));
    }
    void video.play().catch(() => undefined);
  }

  /** Whether the position is held at the target; off while the viewer looks back or pauses. */
  get following(): boolean {
    return this.#following;
  }

  set following(following: boolean) {
    this.#following = following;
    if (following) {
      this.#jump();
      void this.#video.play().catch(() => undefined);
    } else {
      this.#video.playbackRate = 1;
    }
  }

  /** Times the buffer ran dry since the first picture. */
  get stalls(): number {
    return this.#stalls;
  }

  /** Seconds from the live edge to the playing position, as the controller sees it. */
  get distance(): number | undefined {
    const edge = this.#liveEdge();
    return edge === undefined ? undefined : edge - this.#video.currentTime;
  }

  /** hls.js, where it plays. */
  get hls(): Hls | undefined {
    return this.#hls;
  }

  /** Seconds buffered ahead of the playing position. */
  get buffered(): number {
    return ahead(this.#video);
  }

  /** Bits a second of the rung that plays. */
  get bitrate(): number | undefined {
    return this.#hls?.levels[this.#hls.currentLevel]?.bitrate;
  }

  /** The distance that the controller holds. */
  get target(): number | undefined {
    return this.#controller?.target;
  }

  /** When the picture on screen entered the server, by the server's clock: Unix milliseconds. */
  get playingDate(): number | undefined {
    if (this.#hls) return this.#hls.playingDate?.getTime();
    // Safari's own HLS.
    const { getStartDate } = this.#video as { getStartDate?: () => Date };
    const start = getStartDate?.call(this.#video).getTime();
    return start === undefined || Number.isNaN(start) ? undefined : start + this.#video.currentTime * 1000;
  }

  /** The rungs to choose from, best first; empty where the browser chooses. */
  get qualities(): Quality[] {
    return (this.#hls?.levels ?? [])
      .map(({ width, height, bitrate }, index) => ({
        index,
        bitrate,
        label: height ? `${Math.min(width, height)}p` : `${Math.round(bitrate / 1000)} kbit/s`,
      }))
      .sort((a, b) => b.bitrate - a.bitrate);
  }

  /** The rung that plays, and whether it was chosen by hand. */
  get quality(): { playing: number; chosen: number } {
    const hls = this.#hls;
    return { playing: hls?.currentLevel ?? AUTO, chosen: hls?.autoLevelEnabled ? AUTO : (hls?.loadLevel ?? AUTO) };
  }

  /** Plays this rung, or {@link AUTO}, from the next segment on. */
  choose(index: number): void {
    if (this.#hls) this.#hls.nextLevel = index;
  }

  destroy(): void {
    this.#abort.abort();
    clearInterval(this.#timer);
    this.#video.playbackRate = 1;
    if (this.#hls) {
      this.#hls.destroy();
    } else {
      this.#video.removeAttribute('src');
      this.#video.load();
    }
  }

  #playWithHls(playlist: string): void {
    const hls = new Hls(CONFIG);
    this.#hls = hls;
    hls.on(Events.ERROR, (_, error) => this.#onError(error));
    hls.on(Events.MANIFEST_PARSED, () => this.dispatchEvent(new Event('qualities')));
    hls.on(Events.LEVEL_SWITCHED, () => this.dispatchEvent(new Event('qualities')));
    hls.on(Events.LEVEL_UPDATED, (_, { details }) => this.#onPlaylist('video', details));
    hls.on(Events.AUDIO_TRACK_UPDATED, (_, { details }) => this.#onPlaylist('audio', details));
    hls.on(Events.BUFFER_APPENDED, (_, { timeRanges }) => {
      Object.assign(this.#appended, timeRanges);
      this.#markAppended();
    });
    hls.attachMedia(this.#video);
    hls.loadSource(playlist);
    this.#timer = window.setInterval(() => this.#hold(), TICK_MS);
  }

  #onPlaylist(track: Track, details: LevelDetails): void {
    if (!details.live) {
      // What an ended stream left behind is not what a viewer of a live page came for.
      if (!this.#started) this.#fail('ended');
      return;
    }
    const partTarget = details.partTarget || details.targetduration;
    this.#controller ??= new LatencyController(partTarget);
    const edge = track === 'video' ? this.#videoEdge : this.#audioEdge;
    edge.observe(performance.now() / 1000 - details.age, details.edge, 1 + 3 * partTarget);
    this.#details[track] = details;
    this.#markAppended();
  }

  #markAppended(): void {
    for (const track of TRACKS) markAppended(track, this.#details[track], this.#appended[track]);
  }

  /** A moment is live once both its picture and its sound are listed. */
  #liveEdge(): number | undefined {
    const now = performance.now() / 1000;
    const edges = [this.#videoEdge.at(now), this.#audioEdge.at(now)].filter((edge) => edge !== undefined);
    return edges.length === 0 ? undefined : Math.min(...edges);
  }

  #hold(): void {
    const video = this.#video;
    const latency = this.distance;
    if (!this.#controller || latency === undefined || !this.#following) return;
    if (!this.#started || video.paused || video.seeking) return;
    const rate = this.#controller.update({
      now: performance.now() / 1000,
      latency,
      listed: this.#listed() - video.currentTime,
      ahead: ahead(video),
      starved: video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA,
    });
    if (rate === 'jump') this.#jump();
    else if (video.playbackRate !== rate) video.playbackRate = rate;
  }

  /** The end of what is listed in every rendition. */
  #listed(): number {
    const edges = [this.#videoEdge.listed, this.#audioEdge.listed].filter(Number.isFinite);
    return Math.min(...edges);
  }

  /** Goes forward to the target, as far as it is listed. */
  #jump(): void {
    const edge = this.#liveEdge();
    if (edge === undefined || !this.#controller) {
      const { seekable } = this.#video;
      if (seekable.length > 0 && !this.#hls) this.#video.currentTime = seekable.end(seekable.length - 1);
      return;
    }
    const position = Math.min(edge, this.#listed()) - this.#controller.target;
    if (position > this.#video.currentTime) this.#video.currentTime = position;
  }

  #onWaiting(): void {
    if (!this.#started || this.#video.seeking || this.#video.paused) return;
    this.#stalls++;
    this.#controller?.stalled(performance.now() / 1000);
    this.dispatchEvent(new Event('stalled'));
  }

  #onError(error: ErrorData): void {
    if (!error.fatal) return;
    if (error.type === ErrorTypes.MEDIA_ERROR) {
      if (error.details === 'manifestIncompatibleCodecsError') {
        this.#fail('codec');
      } else if (performance.now() - this.#recoveredAt > RECOVERY_INTERVAL_MS) {
        this.#recoveredAt = performance.now();
        this.#hls?.recoverMediaError();
      } else {
        this.#fail('media');
      }
    } else {
      this.#fail('network');
    }
  }

  #fail(failure: Failure): void {
    if (this.#abort.signal.aborted) return;
    this.#abort.abort();
    this.dispatchEvent(new CustomEvent<Failure>('failed', { detail: failure }));
  }
}

/** Seconds buffered in one piece from the playing position on. */
function ahead({ buffered, currentTime }: HTMLVideoElement): number {
  for (let range = 0; range < buffered.length; range++) {
    if (buffered.start(range) <= currentTime + 0.05 && currentTime < buffered.end(range)) {
      return buffered.end(range) - currentTime;
    }
  }
  return 0;
}

/**
 * Marks parts that are in the buffer as loaded.
 *
 * hls.js 1.7.4 loses that mark when a playlist arrives between a part's request and its append, and then waits at
 * the segment's end for a part it has (docs/players.md, "Stuck parts").
 */
function markAppended(track: Track, details: LevelDetails | undefined, ranges: TimeRanges | undefined): void {
  if (!details?.partList || !ranges || ranges.length === 0) return;
  const [from, to] = [ranges.start(ranges.length - 1), ranges.end(ranges.length - 1)];
  for (const part of details.partList) {
    if (part.loaded || part.start < from - SLACK || part.end > to + SLACK) continue;
    const times = { startPTS: part.start, endPTS: part.end, startDTS: part.start, endDTS: part.end };
    part.elementaryStreams[track] = { ...times, partial: false };
  }
}
