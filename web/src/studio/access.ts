/** The host's token: got once for the code in the address, kept for as long as the tab lives. */

const KEY = 'nowcast.studio';

export interface Access {
  token: string;
  viewer: string;
  role: string;
}

/** Why there is no access, in words for the host. */
export class NoAccess extends Error {}

/**
 * Exchanges the code behind `#`, which works once, and takes it out of the address; later visits of the same tab have the
 * token already.
 */
export async function access(stream: string): Promise<Access> {
  const code = location.hash.slice(1);
  history.replaceState(null, '', location.pathname + location.search);
  if (!code) return kept(stream);
  let response: Response;
  try {
    response = await fetch(`/api/v1/streams/${encodeURIComponent(stream)}/studio`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ code }),
    });
  } catch {
    // The code was not used: it goes back, so that a reload tries again.
    history.replaceState(null, '', `#${code}`);
    throw new NoAccess('The server cannot be reached. Reload the page to try again.');
  }
  if (response.status === 404) throw new NoAccess(`There is no stream called “${stream}”.`);
  if (!response.ok) {
    const { message, hint } = (await response.json().catch(() => ({}))) as { message?: string; hint?: string };
    // Going back to the tab's address is no reason to lock a host out who is in already.
    return attemptKept(stream) ?? fail(`${message ?? 'This code does not open the studio.'} ${hint ?? ''}`);
  }
  const granted = (await response.json()) as Access;
  sessionStorage.setItem(`${KEY}.${stream}`, JSON.stringify(granted));
  return granted;
}

function kept(stream: string): Access {
  return attemptKept(stream) ?? fail('The studio needs an address with a code, as `nowcast demo` prints it. A code works once.');
}

function attemptKept(stream: string): Access | undefined {
  const text = sessionStorage.getItem(`${KEY}.${stream}`);
  return text === null ? undefined : (JSON.parse(text) as Access);
}

/** The token is not taken any more. */
export function forget(stream: string): void {
  sessionStorage.removeItem(`${KEY}.${stream}`);
}

function fail(message: string): never {
  throw new NoAccess(message);
}
