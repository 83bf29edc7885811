/** Keeps one card for each poll that is worth showing, the newest first. */

import type { Poll, Room } from '../sdk/index.ts';
import { make } from './dom.ts';
import { PollCard } from './poll.ts';

/** Polls that are over stay so many. */
const PAST = 5;

const isOpen = ({ state }: Poll): boolean => state === 'open' || state === 'closing';

/** The cards' order and number is the caller's: `pick` says which polls of the room are shown. */
export class PollCards {
  readonly element = make('div', { class: 'polls' });
  readonly #room: Room;
  readonly #pick: (polls: Poll[]) => Poll[];
  readonly #cards = new Map<string, PollCard>();

  constructor(room: Room, pick: (polls: Poll[]) => Poll[]) {
    this.#room = room;
    this.#pick = pick;
    room.on('state', () => this.render());
    room.on('op', ({ op, ack }) => ack && op.kind === 'poll.vote' && this.render());
    for (const kind of ['poll.opened', 'poll.tally', 'poll.result', 'poll.cancelled']) room.on(kind, () => this.render());
    this.render();
  }

  /** Cards of polls that may be voted in. */
  get open(): PollCard[] {
    return [...this.#cards.values()].filter((card) => card.open);
  }

  tick(): void {
    for (const card of this.#cards.values()) card.tick(this.#room.date);
  }

  render(): void {
    const polls = this.#pick(this.#room.state.polls);
    const wanted = new Set(polls.map(({ id }) => id));
    for (const [id, card] of this.#cards) {
      if (wanted.has(id)) continue;
      card.element.remove();
      this.#cards.delete(id);
    }
    const votes = this.#room.state.mine?.votes ?? {};
    polls.forEach((poll, place) => {
      let card = this.#cards.get(poll.id);
      if (!card) {
        card = new PollCard(poll, (options) => this.#room.send('poll.vote', { poll: poll.id, options }));
        this.#cards.set(poll.id, card);
      }
      card.update(poll, { mine: votes[poll.id] ?? [], date: this.#room.date });
      // Moved only where it must be: a move takes the focus away.
      if (this.element.children[place] !== card.element) this.element.insertBefore(card.element, this.element.children[place] ?? null);
    });
  }
}

/** Open ones, then what is over. */
export function openThenPast(polls: Poll[]): Poll[] {
  const newest = [...polls].reverse();
  return [...newest.filter(isOpen), ...newest.filter((poll) => !isOpen(poll) && poll.state !== 'cancelled').slice(0, PAST)];
}

/** For over the picture: what is open, and a result while it is new. */
export function openOrJustOver(fresh: ReadonlySet<string>): (polls: Poll[]) => Poll[] {
  return (polls) => polls.filter((poll) => isOpen(poll) || (poll.state === 'closed' && fresh.has(poll.id))).slice(-2);
}
