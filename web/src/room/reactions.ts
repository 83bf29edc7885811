/** A row of emoji to react with. */

import type { Refusal, Room } from '../sdk/index.ts';
import { button, make } from './dom.ts';

const EMOJI: [emoji: string, name: string][] = [
  ['❤️', 'a heart'],
  ['👏', 'applause'],
  ['😂', 'laughter'],
  ['😮', 'surprise'],
  ['🎉', 'a party'],
  ['👍', 'a thumb up'],
];

/** `fly` shows one's own at once; others see it counted, in the media. */
export function reactionRow(room: Room, fly: (emoji: string) => void, tell: (text: string) => void): HTMLElement {
  const row = make('div', { class: 'reactions', role: 'group', 'aria-label': 'React' });
  for (const [emoji, name] of EMOJI) {
    const one = button(emoji, { 'aria-label': `React with ${name}` }, () => {
      fly(emoji);
      room.send('react', { emoji }).catch((refusal: Refusal) => tell(refusal.message));
    });
    row.append(one);
  }
  return row;
}
