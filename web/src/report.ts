/** Tells the server how the picture arrives: CMCD version 2 events (CTA-5004-B), posted to `/cmcd` every ten seconds. */

/** What a report says of the player. */
export interface Playback {
  /** Behind the moment the picture entered the server, in seconds. */
  latency: number | undefined;
  /** Buffered ahead, in seconds. */
  buffered: number;
  /** Times the buffer ran dry since the page was opened. */
  stalls: number;
  /** Bits a second of the rung that plays. */
  bitrate: number | undefined;
  /** The picture stands still for want of media. */
  stalled: boolean;
}

const COLLECTOR = '/cmcd';
const INTERVAL_MS = 10_000;
/** A page that need not report asks so often whether that still holds. */
const ASK_MS = 300_000;

/**
 * One event as a line: keys in the order of the alphabet, numbers of tracks as lists.
 *
 * `sample` is how many sessions this one stands for; 0 if it only asks how many that shall be.
 */
export function record(session: string, content: string, at: number, sample: number, playback?: Playback): string {
  const { latency, buffered, stalls, bitrate, stalled } = playback ?? {};
  const keys: Record<string, string | number | undefined> = {
    bl: buffered === undefined ? undefined : `(${Math.round(buffered * 10) * 100})`,
    br: bitrate ? `(${Math.round(bitrate / 1000)})` : undefined,
    bsa: stalls === undefined ? undefined : `(${stalls})`,
    cid: JSON.stringify(content),
    e: playback ? 't' : 'ps',
    'live.nowcast-sample': `"${sample}"`,
    ltc: latency === undefined ? undefined : Math.max(0, Math.round(latency * 1000)),
    sid: JSON.stringify(session),
    sta: playback ? (stalled ? 'r' : 'p') : 'q',
    ts: at,
    v: 2,
  };
  return Object.entries(keys)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
}

/** Reports for one page, from its first picture until it is left. */
export class Reporter {
  readonly #content: string;
  readonly #observe: () => Playback | undefined;
  readonly #session = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, '0'),
  ).join('');
  /** Drawn once, so that a page that was chosen stays chosen while the share does not shrink. */
  readonly #draw = Math.random();
  #sample = 1;
  #askedAt = 0;

  /** `observe` answers nothing while there is nothing to see. */
  constructor(content: string, observe: () => Playback | undefined) {
    this.#content = content;
    this.#observe = observe;
    // Spread over the interval, so that viewers who come together do not report together.
    setTimeout(() => {
      void this.#report();
      setInterval(() => void this.#report(), INTERVAL_MS);
    }, Math.random() * INTERVAL_MS);
    // A page that is left: nothing else is sent so late.
    window.addEventListener('pagehide', () => navigator.sendBeacon(COLLECTOR, this.#line(this.#sample)));
  }

  async #report(): Promise<void> {
    const playback = this.#observe();
    if (!playback) return;
    const chosen = this.#draw * this.#sample < 1;
    if (!chosen && Date.now() - this.#askedAt < ASK_MS) return;
    this.#askedAt = Date.now();
    try {
      const answer = await fetch(COLLECTOR, {
        method: 'POST',
        headers: { 'Content-Type': 'application/cmcd' },
        body: this.#line(chosen ? this.#sample : 0, playback),
        keepalive: true,
        cache: 'no-store',
      });
      const sample = Number(answer.headers.get('Nowcast-Sample'));
      if (answer.ok && sample >= 1) this.#sample = sample;
    } catch {
      // The next one is due in ten seconds.
    }
  }

  #line(sample: number, playback?: Playback): string {
    return record(this.#session, this.#content, Date.now(), sample, playback);
  }
}
