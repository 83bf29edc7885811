/** The anonymous session that most viewers take part with. */

import { attempt, type Store } from './outbox.ts';

interface Session {
  token: string;
  viewer: string;
  /** Unix milliseconds. */
  expires?: number;
}

const KEY = 'nowcast.session';
/** Renewed before it runs out in mid-sentence. */
const MARGIN_MS = 60_000;

/** The token kept from an earlier visit, or a new one; `undefined` where a server gives none, so that one can only listen. */
export function anonymousToken(origin: string, store: Store | undefined): (renew: boolean) => Promise<string | undefined> {
  return async (renew) => {
    const kept = attempt(() => JSON.parse(store?.getItem(KEY) ?? 'null') as Session | null);
    if (kept?.token && !renew && (kept.expires ?? Infinity) > Date.now() + MARGIN_MS) return kept.token;
    const response = await fetch(new URL('/api/v1/session', origin), { method: 'POST', credentials: 'omit' });
    if (response.status === 404 || response.status === 403) return undefined;
    if (!response.ok) throw new Error(`the server gives no session: ${response.status}`);
    const session = (await response.json()) as Session;
    attempt(() => store?.setItem(KEY, JSON.stringify(session)));
    return session.token;
  };
}

/** The token of the anonymous session before, so that who is known from now on keeps what they did. */
export function anonymousBefore(store: Store | undefined): string | undefined {
  return attempt(() => (JSON.parse(store?.getItem(KEY) ?? 'null') as Session | null)?.token);
}

/** A random UUID; `crypto.randomUUID` is there only over HTTPS. */
export function uuid(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 15) | 64;
  bytes[8] = (bytes[8]! & 63) | 128;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
