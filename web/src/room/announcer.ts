/** Tells a screen reader what happens, without flooding it. */

import type { Room } from '../sdk/index.ts';
import { make } from './dom.ts';
import { nameOf } from './people.ts';

/** Between two sentences. */
const PACE_MS = 3000;
/** Between two sentences about the chat. */
const CHAT_PACE_MS = 30_000;
/** Sentences that wait; more than these are out of date anyway. */
const QUEUE = 4;

export class Announcer {
  readonly element = make('p', { class: 'hidden', 'aria-live': 'polite' });
  #queue: string[] = [];
  #timer = 0;
  #messages = 0;

  /** `inChat` says whether the chat is what the viewer is at. */
  constructor(room: Room, inChat: () => boolean) {
    room.on('poll.opened', ({ body }) => this.#say(`Poll: ${body.question}`));
    room.on('poll.result', ({ id, body }) => {
      const question = room.state.polls.find((poll) => poll.id === (body.poll ?? id))?.question ?? '';
      const first = [...(body.options ?? [])].sort((a, b) => (b.votes ?? 0) - (a.votes ?? 0))[0];
      if (first) this.#say(`Result of the poll ${question}: ${first.text} with ${first.votes ?? 0} votes`);
    });
    room.on('announcement', ({ body }) => this.#say(`Announcement: ${body.text}`));
    room.on('qa.spotlight', ({ body }) => this.#say(`Question on air, from ${nameOf(body.by)}: ${body.text}`));
    room.on('chat.message', () => this.#messages++);
    setInterval(() => {
      if (this.#messages > 0 && inChat()) this.#say(`${this.#messages} new messages in the chat`);
      this.#messages = 0;
    }, CHAT_PACE_MS);
  }

  #say(sentence: string): void {
    this.#queue = [...this.#queue, sentence].slice(-QUEUE);
    if (!this.#timer) this.#next();
  }

  #next(): void {
    const sentence = this.#queue.shift();
    this.#timer = sentence === undefined ? 0 : window.setTimeout(() => this.#next(), PACE_MS);
    if (sentence !== undefined) this.element.textContent = sentence;
  }
}
