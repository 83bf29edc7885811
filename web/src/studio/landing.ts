/** Says where an op landed in the picture. */

import type { Ack, Op, Room } from '../sdk/index.ts';

/** The frame that the host is in: what their camera sees at this moment. */
export function nowAt(room: Room): NonNullable<Op['at']> {
  return { wall: Math.round(room.serverNow) };
}

/** `On the frame of 14:03:21.480, the one you were in.` */
export function landing({ bind, late_ms }: Ack): string {
  if (!bind) return 'It goes out with the first picture.';
  const frame = bind.pdt === undefined ? 'On the chosen frame' : `On the frame of ${timeOfDay(bind.pdt)}`;
  if (late_ms) return `${frame}, ${(late_ms / 1000).toFixed(2)} s after the one you were in: that one had gone out already.`;
  return `${frame}, the one you were in.`;
}

export function timeOfDay(ms: number): string {
  const date = new Date(ms);
  return `${date.toLocaleTimeString('en-GB')}.${String(date.getMilliseconds()).padStart(3, '0')}`;
}
