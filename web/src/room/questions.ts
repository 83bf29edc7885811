/** Questions for the host: asked, voted up, on air, answered. */

import type { Question, Room } from '../sdk/index.ts';
import { follow } from './action.ts';
import { Composer } from './composer.ts';
import { button, count, icon, make, say } from './dom.ts';
import { nameTag } from './people.ts';

const ORDER: Record<Question['state'], number> = { spotlight: 0, asked: 1, answered: 2, dismissed: 3 };

/** Rows of one question for a host. */
export type QuestionActions = (question: Question, status: HTMLElement) => HTMLElement[];

interface Row {
  element: HTMLElement;
  votes: HTMLElement;
  up: HTMLButtonElement;
  status: HTMLElement;
  actions: HTMLElement;
  state: Question['state'] | undefined;
}

export class Questions {
  readonly element = make('section', { class: 'pane questions' });
  readonly #room: Room;
  readonly #actions: QuestionActions | undefined;
  readonly #list = make('ol', { 'aria-label': 'Questions' });
  readonly #empty = make('p', { class: 'empty' }, 'No questions yet. Ask the first one.');
  readonly #rows = new Map<string, Row>();

  constructor(room: Room, actions?: QuestionActions) {
    this.#room = room;
    this.#actions = actions;
    this.element.append(make('div', { class: 'scroll' }, this.#empty, this.#list));
    if (actions) {
      this.#empty.textContent = 'No questions yet.';
    } else {
      const composer = new Composer({ label: 'Ask the host', done: 'Asked.', send: (text) => room.send('qa.ask', { text }) });
      room.on('welcome', ({ limits }) => composer.limit(limits.text_graphemes ?? 300, limits.text_bytes ?? 1024));
      this.element.append(composer.element);
    }
    room.on('state', () => this.#render());
    room.on('op', ({ op, ack }) => ack && op.kind === 'qa.upvote' && this.#render());
    for (const kind of ['qa.asked', 'qa.ranked', 'qa.spotlight', 'qa.answered']) room.on(kind, () => this.#render());
    this.#render();
  }

  #render(): void {
    const { questions, mine } = this.#room.state;
    const shown = questions
      .filter(({ state }) => state !== 'dismissed')
      .sort((a, b) => ORDER[a.state] - ORDER[b.state] || b.votes - a.votes);
    this.#empty.hidden = shown.length > 0;
    const ids = new Set(shown.map(({ id }) => id));
    for (const [id, { element }] of this.#rows) {
      if (ids.has(id)) continue;
      element.remove();
      this.#rows.delete(id);
    }
    shown.forEach((question, place) => {
      const row = this.#rows.get(question.id) ?? this.#addRow(question);
      const voted = mine?.upvotes.includes(question.id) ?? false;
      say(row.votes, question.votes.toLocaleString('en'));
      row.up.setAttribute('aria-pressed', String(voted));
      row.up.setAttribute('aria-label', `Vote for this question, ${count(question.votes, 'vote')} so far`);
      row.up.disabled = question.state === 'answered' || this.#actions !== undefined;
      row.element.dataset['state'] = question.state;
      if (row.state !== question.state) {
        row.state = question.state;
        row.actions.replaceChildren(...(this.#actions?.(question, row.status) ?? []));
      }
      // Moved only where it must be: a move takes the focus away.
      if (this.#list.children[place] !== row.element) this.#list.insertBefore(row.element, this.#list.children[place] ?? null);
    });
  }

  #addRow({ id, text, by }: Question): Row {
    const votes = make('span');
    const status = make('p', { class: 'status', role: 'status' });
    const actions = make('p', { class: 'buttons' });
    const up = button(icon('up'), { class: 'up' }, () => {
      if (up.getAttribute('aria-pressed') === 'true') return;
      void follow(status, this.#room.send('qa.upvote', { question: id }), 'Your vote counts.');
    });
    up.append(votes);
    const said = make('div', {}, make('p', { class: 'from' }, nameTag(by)), make('p', { class: 'text' }, text), actions, status);
    const row: Row = { element: make('li', {}, up, said), votes, up, status, actions, state: undefined };
    this.#rows.set(id, row);
    return row;
  }
}
