/** How the stream is: its source, its encoder, its viewers, and where time goes. */

import { make, say } from '../room/dom.ts';
import { Stages, Tile } from './charts.ts';

/** `GET /api/v1/streams/STREAM/health`: the stream's state as the ops listener has it. */
export interface Health {
  phase: string;
  problem: string | null;
  publisher: string | null;
  source: string | null;
  since_ms: number | null;
  ingest: {
    bitrate: number;
    rtt_ms: number;
    latency_ms: number;
    packets: number;
    packets_lost: number;
    packets_dropped: number;
    continuity_errors: number;
    encryption_bits: number;
  } | null;
  encoder: {
    restarts: number;
    last_error: string | null;
    frames_repeated: number;
    frames_skipped: number;
    delay_ms: number;
    cores: number | null;
  } | null;
  renditions: { name: string; width: number; height: number; bitrate: number; part_delay_ms: number; part_delay_p99_ms: number; late_parts: number }[];
  audience: {
    viewers: number;
    at_least: boolean;
    egress: number;
    latency_ms: number | null;
    latency_p95_ms: number | null;
    buffer_ms: number | null;
    stalls: number;
  };
}

const INTERVAL_MS = 1000;
const PATIENCE_MS = 4000;
/** Round trips that SRT's latency cannot hide: it wants about three of them. */
const TRIPS = 3;

export class HealthView {
  readonly element = make('section', { class: 'health', 'aria-label': 'Health' });
  readonly #stages = new Stages();
  readonly #source = make('p', { class: 'source' });
  readonly #problem = make('p', { class: 'problem', role: 'alert', hidden: true });
  readonly #renditions = make('ul', { class: 'renditions' });
  readonly #tiles = {
    viewers: new Tile('Viewers', 10),
    latency: new Tile('Viewers’ latency', 1500),
    bitrate: new Tile('From the source', 1e6),
    rtt: new Tile('Round trip', 40),
    loss: new Tile('Packets lost', 10),
    encoder: new Tile('Encoder', 60),
  };
  readonly #url: string;
  readonly #token: string;
  readonly #told: (health: Health | undefined) => void;
  #before: Health['ingest'] = null;

  /** `told` gets each state; nothing while the server does not answer. */
  constructor(stream: string, token: string, told: (health: Health | undefined) => void) {
    this.#url = `/api/v1/streams/${encodeURIComponent(stream)}/health`;
    this.#token = token;
    this.#told = told;
    const tiles = make('div', { class: 'tiles' }, ...Object.values(this.#tiles).map(({ element }) => element));
    const stages = make('div', { class: 'card' }, make('h2', {}, 'Where time goes'), this.#stages.element);
    this.element.append(this.#problem, tiles, stages, this.#source, this.#renditions);
    void this.#poll();
  }

  async #poll(): Promise<void> {
    const health = await this.#ask();
    if (health) this.#show(health);
    this.#told(health);
    setTimeout(() => void this.#poll(), INTERVAL_MS);
  }

  async #ask(): Promise<Health | undefined> {
    try {
      const headers = { Authorization: `Bearer ${this.#token}` };
      const response = await fetch(this.#url, { headers, cache: 'no-store', signal: AbortSignal.timeout(PATIENCE_MS) });
      return response.ok ? ((await response.json()) as Health) : undefined;
    } catch {
      return undefined;
    }
  }

  #show({ ingest, encoder, renditions, audience, problem, source, publisher }: Health): void {
    this.#problem.hidden = !problem;
    say(this.#problem, problem ?? '');
    const lost = ingest && this.#before ? Math.max(0, ingest.packets_lost - this.#before.packets_lost) : undefined;
    const arrived = ingest && this.#before ? Math.max(1, ingest.packets - this.#before.packets) : 1;
    this.#before = ingest;
    const { viewers, latency, bitrate, rtt, loss, encoder: encoding } = this.#tiles;
    viewers.add(audience.viewers, `${audience.at_least ? 'over ' : ''}${audience.viewers.toLocaleString('en')}`, `${bits(audience.egress)} out, ${audience.stalls} stalls`);
    latency.add(audience.latency_ms ?? undefined, seconds(audience.latency_ms), audience.latency_p95_ms === null ? '' : `one in twenty ${seconds(audience.latency_p95_ms)}`);
    bitrate.add(ingest?.bitrate, bits(ingest?.bitrate ?? 0), ingest?.encryption_bits ? `AES-${ingest.encryption_bits}` : '', ingest && ingest.bitrate > 0 ? 'good' : 'bad');
    const thin = ingest !== null && ingest.rtt_ms * TRIPS > ingest.latency_ms;
    rtt.add(ingest?.rtt_ms, `${Math.round(ingest?.rtt_ms ?? 0)} ms`, thin ? `SRT latency of ${ingest.latency_ms} ms is short for it` : '', thin ? 'fair' : 'good');
    const share = ((lost ?? 0) / arrived) * 100;
    const dropped = ingest?.packets_dropped ? `${ingest.packets_dropped.toLocaleString('en')} never came` : 'all came in the end';
    loss.add(lost, `${share.toFixed(1)} %`, dropped, share > 5 ? 'bad' : share > 1 ? 'fair' : 'good');
    encoding.add(encoder?.delay_ms, `${Math.round(encoder?.delay_ms ?? 0)} ms`, encoder ? encoderNote(encoder) : '', encoder?.last_error ? 'fair' : 'good');

    const slowest = Math.max(...renditions.map(({ part_delay_ms }) => part_delay_ms));
    const packaging = encoder ? slowest - encoder.delay_ms : slowest;
    const inside = ingest && Number.isFinite(slowest) ? slowest : undefined;
    this.#stages.show([
      ['Network (SRT)', ingest?.latency_ms],
      ['Encoder', encoder?.delay_ms],
      ['Packaging', inside === undefined ? undefined : Math.max(0, packaging)],
      ['Delivery and player', audience.latency_ms === null ? undefined : Math.max(0, audience.latency_ms)],
    ]);
    say(this.#source, [source, publisher && `from ${publisher}`].filter(Boolean).join(' · '));
    this.#renditions.replaceChildren(...renditions.map(rendition));
  }
}

function rendition({ name, width, height, bitrate, part_delay_p99_ms, late_parts }: Health['renditions'][number]): HTMLElement {
  const size = height > 0 ? `${width} × ${height}` : 'sound';
  const late = make('span', { class: late_parts > 0 ? 'late' : '' }, `${late_parts} late`);
  return make('li', {}, make('b', {}, name), make('span', {}, size), make('span', {}, bits(bitrate)), make('span', {}, `p99 ${Math.round(part_delay_p99_ms)} ms`), late);
}

function encoderNote({ cores, frames_skipped, frames_repeated, restarts }: NonNullable<Health['encoder']>): string {
  const notes = [cores !== null && `${cores.toFixed(1)} cores`];
  if (frames_skipped + frames_repeated > 0) notes.push(`${frames_repeated} repeated, ${frames_skipped} skipped`);
  if (restarts > 0) notes.push(`${restarts} restarts`);
  return notes.filter(Boolean).join(', ');
}

function bits(number: number): string {
  return number >= 1e6 ? `${(number / 1e6).toFixed(1)} Mbit/s` : `${Math.round(number / 1000)} kbit/s`;
}

function seconds(ms: number | null): string {
  return ms === null ? '–' : `${(ms / 1000).toFixed(1)} s`;
}
