/** What hls.js tells of events. Its own text track of metadata is of no use: cues come early, doubled, or not at all. */

import { readDateRange, readId3, type DateRangeAttributes, type Metadata } from './metadata.ts';
import type { RoomEvent } from './types.ts';

/** What of hls.js is used. */
export interface HlsLike {
  readonly playingDate: Date | null;
  on(event: any, listener: any): void;
  off(event: any, listener: any): void;
}

interface Carried {
  /** Metadata at a media time, in seconds. */
  metadata: (time: number, value: Metadata) => void;
  events: (events: RoomEvent[]) => void;
}

/** Tells what the parts and the playlists of `hls` carry; the answer ends that. */
export function listenTo(hls: HlsLike, carried: Carried): () => void {
  const known = new Set<string>();
  const onMetadata = (_: unknown, { samples }: { samples: { pts: number; data: Uint8Array }[] }): void => {
    for (const { pts, data } of samples) for (const value of readId3(data)) carried.metadata(pts, value);
  };
  // Each playlist has all of its ranges again.
  const onPlaylist = (_: unknown, { details }: { details: { dateRanges: Record<string, { attr: DateRangeAttributes } | undefined> } }): void => {
    for (const [id, range] of Object.entries(details.dateRanges)) {
      if (!range) continue;
      const name = `${id} ${'X-NOWCAST-RESULT' in range.attr}`;
      if (known.has(name)) continue;
      known.add(name);
      carried.events(readDateRange(range.attr));
    }
  };
  hls.on('hlsFragParsingMetadata', onMetadata);
  hls.on('hlsLevelUpdated', onPlaylist);
  return () => {
    hls.off('hlsFragParsingMetadata', onMetadata);
    hls.off('hlsLevelUpdated', onPlaylist);
  };
}

/** The date of the picture at media time `time`, Unix milliseconds, where the player knows one. */
export function dateOf(time: number, video: HTMLVideoElement, hls: HlsLike | undefined): number | undefined {
  // hls.js tells it of the playing position; the picture's is a little before that.
  if (hls) return hls.playingDate ? hls.playingDate.getTime() + (time - video.currentTime) * 1000 : undefined;
  // Safari's own HLS.
  const { getStartDate } = video as { getStartDate?: () => Date };
  const start = getStartDate?.call(video).getTime();
  return start === undefined || Number.isNaN(start) ? undefined : start + time * 1000;
}
