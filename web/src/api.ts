/** The server's HTTP API, as the pages use it. */

export type Phase = 'idle' | 'starting' | 'live' | 'waiting' | 'ended' | 'unsupported';

/** One stream, as `GET /api/v1/streams/STREAM` tells it. */
export interface StreamStatus {
  name: string;
  phase: Phase;
  /** What is wrong and what to do, if something is. */
  problem?: string | null;
}

/** One stream of `GET /api/v1/streams`. */
export interface ListedStream {
  name: string;
  phase: Phase;
  playlist: string;
  since_ms?: number | null;
}

const PATIENCE_MS = 5000;

async function get(path: string): Promise<Response> {
  return fetch(path, { cache: 'no-store', signal: AbortSignal.timeout(PATIENCE_MS) });
}

/** The state of a stream; `unknown` if there is none of that name, `unreachable` if the server does not answer. */
export async function streamStatus(name: string): Promise<StreamStatus | 'unknown' | 'unreachable'> {
  try {
    const response = await get(`/api/v1/streams/${encodeURIComponent(name)}`);
    if (response.status === 404) return 'unknown';
    return response.ok ? ((await response.json()) as StreamStatus) : 'unreachable';
  } catch {
    return 'unreachable';
  }
}

/** The streams there are; throws if the server does not answer. */
export async function listStreams(): Promise<ListedStream[]> {
  const response = await get('/api/v1/streams');
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  return (await response.json()) as ListedStream[];
}

/** Server clock minus ours, in milliseconds: from the fastest of three exchanges. */
export async function clockOffset(): Promise<number | undefined> {
  let best: { offset: number; roundTrip: number } | undefined;
  for (let exchange = 0; exchange < 3; exchange++) {
    try {
      const sent = performance.now();
      const { now } = (await (await get('/api/v1/time')).json()) as { now: number };
      const roundTrip = performance.now() - sent;
      const offset = now - (Date.now() - roundTrip / 2);
      if (!best || roundTrip < best.roundTrip) best = { offset, roundTrip };
    } catch {
      // One exchange of three is enough; none leaves our own clock.
    }
  }
  return best?.offset;
}

/** Waits that grow to five seconds, each with a random share so that viewers do not come in step. */
export class Backoff {
  #tries = 0;

  reset(): void {
    this.#tries = 0;
  }

  /** The next wait in milliseconds. */
  next(): number {
    const wait = Math.min(1000 * 1.25 ** this.#tries++, 5000);
    return wait * (0.75 + Math.random() / 2);
  }
}
