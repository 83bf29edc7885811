/** Reads what the media carries: ID3 from `emsg` boxes, and EXT-X-DATERANGE. */

import type { RoomEvent } from './types.ts';

/** The value of one ID3 frame `TXXX` with the description `nowcast`. */
export interface Metadata {
  v: number;
  epoch: string;
  /** Its own presentation time, 90 kHz ticks. */
  pts?: number;
  events?: RoomEvent[];
  /** Counts since the piece before. */
  reactions?: Record<string, number>;
  /** Tallies by poll; `votes` in the order of the options, none while they are hidden; `closes_at` once it is closing. */
  polls?: Record<string, { rev: number; votes?: number[]; voters: number; closes_at?: number }>;
  /** Messages of a busy chat that are left out. */
  more?: number;
}

const HEADER = 10;
const UTF8 = 3;
const decoder = new TextDecoder();

/** The `nowcast` values of an ID3v2.4 tag (id3.org, "ID3 tag version 2.4.0", §3 and §4); whatever else it holds is passed over. */
export function readId3(tag: Uint8Array): Metadata[] {
  const found: Metadata[] = [];
  if (tag.length < HEADER || text(tag, 0, 3) !== 'ID3') return found;
  const end = Math.min(HEADER + syncsafe(tag, 6), tag.length);
  for (let at = HEADER; at + HEADER <= end; ) {
    const size = syncsafe(tag, at + 4);
    const frame = tag.subarray(at + HEADER, Math.min(at + HEADER + size, end));
    if (size === 0) break;
    const value = text(tag, at, at + 4) === 'TXXX' ? nowcastValue(frame) : undefined;
    if (value) found.push(value);
    at += HEADER + size;
  }
  return found;
}

function nowcastValue(frame: Uint8Array): Metadata | undefined {
  const separator = frame.indexOf(0, 1);
  if (frame[0] !== UTF8 || separator < 0 || text(frame, 1, separator) !== 'nowcast') return undefined;
  let end = frame.length;
  while (end > separator + 1 && frame[end - 1] === 0) end--;
  const value = parse<Metadata>(text(frame, separator + 1, end));
  return typeof value?.epoch === 'string' ? value : undefined;
}

/** The attributes of one EXT-X-DATERANGE that bear on events. */
export interface DateRangeAttributes {
  'X-NOWCAST-EVENT'?: string;
  'X-NOWCAST-RESULT'?: string;
}

/** The events that a date range tells: what it begins with, and how it ended. */
export function readDateRange(attributes: DateRangeAttributes): RoomEvent[] {
  return [attributes['X-NOWCAST-EVENT'], attributes['X-NOWCAST-RESULT']]
    .map((value) => value && parse<RoomEvent>(fromBase64Url(value)))
    .filter((event): event is RoomEvent => typeof event === 'object' && typeof event.kind === 'string');
}

function fromBase64Url(value: string): string {
  try {
    const binary = atob(value.replace(/-/g, '+').replace(/_/g, '/'));
    return decoder.decode(Uint8Array.from(binary, (character) => character.charCodeAt(0)));
  } catch {
    return '';
  }
}

function parse<T>(json: string): T | undefined {
  try {
    return JSON.parse(json) as T;
  } catch {
    return undefined;
  }
}

/** Four bytes of seven bits. */
function syncsafe(bytes: Uint8Array, at: number): number {
  return [0, 1, 2, 3].reduce((value, place) => value * 128 + ((bytes[at + place] ?? 0) & 127), 0);
}

function text(bytes: Uint8Array, from: number, to: number): string {
  return decoder.decode(bytes.subarray(from, to));
}
