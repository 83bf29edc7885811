/** `/`: the live streams, kept fresh. */

import { Backoff, listStreams, type ListedStream, type Phase } from './api.ts';

const REFRESH_MS = 3000;

const note = element('note');
const list = element('streams');
const empty = element('empty');
const backoff = new Backoff();
let shown = '';

function element(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (!found) throw new Error(`no element #${id}`);
  return found;
}

const WORDS: Partial<Record<Phase, string>> = {
  starting: 'starting',
  live: 'live',
  waiting: 'waiting for the broadcaster',
  unsupported: 'cannot be shown',
};

function age(since: number): string {
  const minutes = Math.max(0, Math.floor((Date.now() - since) / 60_000));
  if (minutes < 1) return 'just started';
  if (minutes < 60) return `for ${minutes} min`;
  return `for ${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function card({ name, phase, since_ms }: ListedStream): HTMLLIElement {
  const link = document.createElement('a');
  link.href = `/watch/${encodeURIComponent(name)}`;
  const title = document.createElement('strong');
  title.textContent = name;
  const state = document.createElement('span');
  state.textContent = [WORDS[phase], phase === 'live' && since_ms ? age(since_ms) : ''].filter(Boolean).join(' ');
  link.append(title, state);
  const item = document.createElement('li');
  item.dataset['phase'] = phase;
  item.append(link);
  return item;
}

async function refresh(): Promise<void> {
  let wait = REFRESH_MS * (0.75 + Math.random() / 2);
  try {
    const streams = (await listStreams()).filter(({ phase }) => WORDS[phase]);
    backoff.reset();
    note.textContent = '';
    empty.hidden = streams.length > 0;
    const items = streams.map(card);
    const now = items.map((item) => item.outerHTML).join();
    // Left alone while nothing changes, so that focus and screen readers stay where they are.
    if (now !== shown) list.replaceChildren(...items);
    shown = now;
  } catch {
    note.textContent = 'The server cannot be reached. Trying again …';
    wait = backoff.next();
  }
  setTimeout(() => void refresh(), wait);
}

void refresh();
