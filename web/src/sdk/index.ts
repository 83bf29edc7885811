/** Events of a live stream, in time with its picture: docs/sdk.md. */

export { EventClient, type ClientEvents, type ClientOptions, type Connection, type HeldMessage, type OpProgress, type Report } from './client.ts';
export { MediaClock } from './mediaclock.ts';
export { readDateRange, readId3, type Metadata } from './metadata.ts';
export type { HlsLike } from './hls.ts';
export { Room, type RoomEvents, type RoomOptions } from './room.ts';
export { apply, emptyState } from './store.ts';
export { Ticks } from './ticks.ts';
export { Timeline } from './timeline.ts';
export * from './types.ts';
