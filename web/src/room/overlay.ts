/** Over the picture: announcements, the question on air, polls where the panel is not in view, reactions. */

import type { Room, RoomEvent } from '../sdk/index.ts';
import { icon, make } from './dom.ts';
import { nameTag } from './people.ts';
import { openOrJustOver, PollCards } from './polls.ts';

/** Hearts on their way at once; a crowd's thousands look like this many. */
const FLYING = 40;
/** Of one count, so many are shown. */
const OF_ONE = 8;
const FLIGHT_MS = 3200;
/** A burst is spread over so long, about a part. */
const SPREAD_MS = 400;
/** What the picture has left behind for longer is not shown any more: 2 s. */
const STALE = 180_000;
const RESULT_MS = 8000;
const ANNOUNCEMENT_MS = 8000;
const SPOTLIGHT_MS = 30_000;

export class Overlay {
  readonly #room: Room;
  readonly #announcements = make('div', { class: 'announcements' });
  readonly #spotlight = make('div', { class: 'spotlight', hidden: true });
  readonly #flying = make('div', { class: 'flying', 'aria-hidden': 'true' });
  readonly #fresh = new Set<string>();
  readonly #polls: PollCards;
  readonly #calm = matchMedia('(prefers-reduced-motion: reduce)');
  #spotlightTimer = 0;

  constructor(room: Room, element: HTMLElement) {
    this.#room = room;
    this.#polls = new PollCards(room, openOrJustOver(this.#fresh));
    element.append(this.#announcements, this.#polls.element, this.#spotlight, this.#flying);
    room.on('announcement', (event) => this.#announce(event));
    room.on('qa.spotlight', (event) => this.#light(event));
    room.on('qa.answered', () => (this.#spotlight.hidden = true));
    room.on('reactions', (event) => this.#react(event));
    room.on('poll.result', ({ id, body }) => this.#result(body.poll ?? id));
    room.on('state', () => this.#all());
  }

  tick(): void {
    this.#polls.tick();
  }

  /** One's own reaction flies at once. */
  fly(emoji: string): void {
    if (this.#calm.matches || this.#flying.childElementCount >= FLYING) return;
    const one = make('span', {}, emoji);
    one.style.setProperty('--from', `${Math.round(Math.random() * 100)}%`);
    one.style.setProperty('--drift', `${Math.round(Math.random() * 60 - 30)}px`);
    one.style.setProperty('--size', `${(1.3 + Math.random() * 0.9).toFixed(2)}rem`);
    this.#flying.append(one);
    setTimeout(() => one.remove(), FLIGHT_MS);
  }

  #all(): void {
    this.#announcements.replaceChildren();
    const lit = this.#room.state.questions.find(({ state }) => state === 'spotlight');
    this.#spotlight.hidden = true;
    if (lit) this.#light({ id: lit.id, kind: 'qa.spotlight', body: lit });
    for (const event of this.#room.state.announcements) {
      const left = (event.bind?.pdt ?? event.at ?? 0) + (event.body.duration_ms ?? ANNOUNCEMENT_MS) - (this.#room.date ?? this.#room.serverNow);
      if (left > 0) this.#announce(event, left);
    }
  }

  #announce({ body }: RoomEvent, left: number = body.duration_ms ?? ANNOUNCEMENT_MS): void {
    const banner = make('p', { class: 'announcement' }, icon('horn'), make('span', {}, body.text));
    this.#announcements.append(banner);
    setTimeout(() => banner.remove(), left);
  }

  #light({ body }: RoomEvent): void {
    this.#spotlight.replaceChildren(make('p', { class: 'from' }, 'Question from ', nameTag(body.by)), make('p', { class: 'text' }, body.text ?? ''));
    this.#spotlight.hidden = false;
    clearTimeout(this.#spotlightTimer);
    this.#spotlightTimer = window.setTimeout(() => (this.#spotlight.hidden = true), SPOTLIGHT_MS);
  }

  #result(id: string): void {
    this.#fresh.add(id);
    this.#polls.render();
    setTimeout(() => {
      this.#fresh.delete(id);
      this.#polls.render();
    }, RESULT_MS);
  }

  #react({ bind, body }: RoomEvent): void {
    const { position } = this.#room;
    if (bind && position !== undefined && position - bind.pts > STALE) return;
    for (const [emoji, count] of Object.entries<number>(body.counts ?? {})) {
      for (let one = 0; one < Math.min(count, OF_ONE); one++) setTimeout(() => this.fly(emoji), Math.random() * SPREAD_MS);
    }
  }
}
