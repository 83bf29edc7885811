/** How people are shown. */

import type { By } from '../sdk/index.ts';
import { make } from './dom.ts';

const BADGES: Partial<Record<NonNullable<By['role']>, string>> = { host: 'Host', operator: 'Host', moderator: 'Mod' };

/** The name to show; one who gave none is told from others by the end of their number. */
export function nameOf(by: By | undefined): string {
  return by?.name || (by ? `Guest ${by.id.slice(-4)}` : 'Somebody');
}

/** One of twelve colours that are easy to read on the panel; the same person has the same one. */
function colourOf(id: string): string {
  let hash = 0;
  for (const character of id) hash = (hash * 31 + character.charCodeAt(0)) >>> 0;
  return `hsl(${(hash % 12) * 30} 75% 76%)`;
}

/** A name in its colour, with a badge for who runs the show. */
export function nameTag(by: By | undefined): HTMLElement {
  const name = make('b', { class: 'name' }, nameOf(by));
  if (by) name.style.color = colourOf(by.id);
  const badge = by?.role && BADGES[by.role];
  return badge ? make('span', { class: 'who' }, name, make('span', { class: `badge ${by.role}` }, badge)) : make('span', { class: 'who' }, name);
}
