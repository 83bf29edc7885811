/** One poll as a card: to vote in, and to see how others did. */

import type { Ack, Poll } from '../sdk/index.ts';
import { follow } from './action.ts';
import { button, clock, count, icon, make, say } from './dom.ts';

interface Row {
  element: HTMLElement;
  bar: HTMLElement;
  share: HTMLElement;
  text: HTMLElement;
}

/** What a card has to know besides its poll. */
export interface PollView {
  /** The options this viewer chose. */
  mine: string[];
  /** The picture's date, Unix milliseconds. */
  date: number | undefined;
}

export class PollCard {
  readonly element = make('article', { class: 'poll' });
  readonly #vote: ((options: string[]) => Promise<Ack>) | undefined;
  readonly #question = make('h3');
  readonly #time = make('span', { class: 'time' });
  readonly #voters = make('span', { class: 'voters' });
  readonly #options = make('div', { class: 'options', role: 'group' });
  readonly #status = make('p', { class: 'status', role: 'status' });
  readonly #submit = button('Send vote', { class: 'button primary', hidden: true }, () => void this.#send([...this.#chosen]));
  readonly #rows = new Map<string, Row>();
  readonly #chosen = new Set<string>();
  #poll: Poll;
  #view: PollView = { mine: [], date: undefined };
  #sending = false;

  /** Without `vote` it only shows. */
  constructor(poll: Poll, vote?: (options: string[]) => Promise<Ack>) {
    this.#poll = poll;
    this.#vote = vote;
    this.#options.setAttribute('aria-label', poll.question || 'Poll');
    this.element.append(this.#question, make('p', { class: 'meta' }, this.#time, this.#voters), this.#options, this.#submit, this.#status);
  }

  get poll(): Poll {
    return this.#poll;
  }

  /** The poll may be voted in, as far as this picture has got. */
  get open(): boolean {
    const { state, closes_at } = this.#poll;
    if (state !== 'open' && state !== 'closing') return false;
    return closes_at === null || this.#view.date === undefined || this.#view.date < closes_at;
  }

  update(poll: Poll, view: PollView): void {
    const first = this.#rows.size === 0;
    if (first || view.mine.join() !== this.#view.mine.join()) {
      this.#chosen.clear();
      for (const option of view.mine) this.#chosen.add(option);
    }
    this.#poll = poll;
    this.#view = view;
    this.element.dataset['state'] = this.open ? 'open' : poll.state;
    say(this.#question, poll.question || 'Poll');
    for (const option of poll.options) if (!this.#rows.has(option.id)) this.#addRow(option.id);
    this.#renderRows();
    this.tick(view.date);
  }

  /** The picture goes on: the time that is left is counted by it. */
  tick(date: number | undefined): void {
    const { open } = this;
    this.#view = { ...this.#view, date };
    const { state, closes_at, voters } = this.#poll;
    const left = closes_at === null || date === undefined ? undefined : (closes_at - date) / 1000;
    let text = 'Open';
    if (state === 'cancelled') text = 'Cancelled';
    else if (state === 'closed' && this.#shown) text = 'Final result';
    else if (!this.open) text = 'Voting is over';
    else if (left !== undefined) text = `Closes in ${clock(left)}`;
    say(this.#time, text);
    this.#time.classList.toggle('soon', this.open && left !== undefined && left <= 10);
    say(this.#voters, voters > 0 ? count(voters, 'voter') : '');
    if (open !== this.open) this.#renderRows();
  }

  /** Its counts are to be seen. */
  get #shown(): boolean {
    return this.#poll.options.some(({ votes }) => votes !== undefined);
  }

  #addRow(id: string): void {
    const text = make('span', { class: 'text' });
    const share = make('span', { class: 'share' });
    const bar = make('i', { class: 'bar', 'aria-hidden': 'true' });
    const element = this.#vote
      ? button(bar, { class: 'option', 'aria-pressed': 'false' }, () => this.#choose(id))
      : make('div', { class: 'option' }, bar);
    element.append(make('span', { class: 'tick' }, icon('check')), text, share);
    this.#options.append(element);
    this.#rows.set(id, { element, bar, share, text });
  }

  #renderRows(): void {
    const { options, multi, change_vote, state } = this.#poll;
    const counts = options.map(({ votes }) => votes ?? 0);
    const shown = this.#shown;
    const total = multi ? Math.max(this.#poll.voters, ...counts) : counts.reduce((sum, votes) => sum + votes, 0);
    const most = Math.max(...counts);
    const voted = this.#view.mine.length > 0;
    const fixed = !this.open || (voted && !change_vote);
    for (const option of options) {
      const row = this.#rows.get(option.id);
      if (!row) continue;
      const votes = option.votes ?? 0;
      const share = total > 0 ? votes / total : 0;
      say(row.text, option.text);
      say(row.share, shown ? `${Math.round(share * 100)} %` : '');
      row.element.title = shown ? count(votes, 'vote') : '';
      row.bar.style.transform = `scaleX(${shown ? share : 0})`;
      row.element.classList.toggle('first', shown && state === 'closed' && votes === most && votes > 0);
      row.element.classList.toggle('chosen', this.#chosen.has(option.id));
      if (row.element instanceof HTMLButtonElement) {
        row.element.setAttribute('aria-pressed', String(this.#chosen.has(option.id)));
        row.element.setAttribute('aria-disabled', String(fixed));
      }
    }
    this.element.classList.toggle('results', shown);
    const changed = [...this.#chosen].sort().join() !== [...this.#view.mine].sort().join();
    this.#submit.hidden = !this.#vote || !multi || fixed || this.#chosen.size === 0 || !changed;
  }

  #choose(id: string): void {
    const { multi, change_vote } = this.#poll;
    if (this.#sending) return;
    if (!this.open) {
      this.#tell('Voting in this poll is over.');
      return;
    }
    if (this.#view.mine.length > 0 && !change_vote) {
      this.#tell('Your vote counts. It cannot be changed in this poll.');
      return;
    }
    if (multi) {
      if (!this.#chosen.delete(id)) this.#chosen.add(id);
      this.#renderRows();
    } else if (!this.#view.mine.includes(id)) {
      void this.#send([id]);
    }
  }

  async #send(options: string[]): Promise<void> {
    if (!this.#vote) return;
    this.#sending = true;
    const before = this.#view.mine;
    this.#chosen.clear();
    for (const option of options) this.#chosen.add(option);
    this.element.setAttribute('aria-busy', 'true');
    this.#renderRows();
    const ack = await follow(this.#status, this.#vote(options), 'Your vote counts.');
    this.#sending = false;
    this.element.removeAttribute('aria-busy');
    if (ack) {
      this.#view = { ...this.#view, mine: options };
    } else {
      this.#chosen.clear();
      for (const option of before) this.#chosen.add(option);
    }
    this.#renderRows();
  }

  #tell(text: string): void {
    this.#status.dataset['state'] = 'refused';
    say(this.#status, text);
  }
}
