/** One action of a person: it says that it is being sent, that it was, or why not. */

import { Refusal, type Ack } from '../sdk/index.ts';
import { say } from './dom.ts';

/** What a refusal tells: what happened, then what to do. */
export function why(error: unknown): string {
  if (!(error instanceof Refusal)) return 'That did not work. Try again.';
  const wait = error.retryAfterMs ? ` Try again in ${span(error.retryAfterMs)}.` : '';
  // Of who is too fast, the wait says it all.
  const hint = error.hint && !(wait && error.code.startsWith('rate.')) ? ` ${error.hint}` : '';
  return `${error.message}${hint}${wait}`;
}

function span(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  return seconds < 120 ? `${seconds} s` : `${Math.ceil(seconds / 60)} min`;
}

/** How long a good outcome is worth reading. */
const DONE_MS = 2500;
/** A sentence about sending only where it is not over in a blink. */
const SLOW_MS = 250;

/** Shows in `status` how `sent` fares; answers the ack, or nothing if it was refused. */
export async function follow(status: HTMLElement, sent: Promise<Ack>, done = 'Sent.'): Promise<Ack | undefined> {
  const turn = String(Math.random());
  status.dataset['turn'] = turn;
  const show = (state: string, text: string): void => {
    if (status.dataset['turn'] !== turn) return;
    status.dataset['state'] = state;
    say(status, text);
  };
  const slow = setTimeout(() => show('sending', 'Sending …'), SLOW_MS);
  try {
    const ack = await sent;
    show('sent', ack.state === 'held' ? 'A moderator will look at it first.' : done);
    setTimeout(() => show('', ''), DONE_MS);
    return ack;
  } catch (error) {
    show('refused', why(error));
    return undefined;
  } finally {
    clearTimeout(slow);
  }
}
