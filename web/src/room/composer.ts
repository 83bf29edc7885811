/** A field to write in: it keeps the draft until what was written is taken. */

import type { Ack } from '../sdk/index.ts';
import { follow } from './action.ts';
import { button, icon, make, say } from './dom.ts';

const segmenter = 'Segmenter' in Intl ? new Intl.Segmenter() : undefined;
const encoder = new TextEncoder();
/** How near the limit the count is shown. */
const NEAR = 60;

interface ComposerOptions {
  label: string;
  done: string;
  /** Sends the text; the composer says how it fares, unless the caller shows that itself. */
  send: (text: string) => Promise<Ack>;
  /** The caller shows how a text fares: the field is emptied at once, for the next one. */
  eager?: boolean;
}

export class Composer {
  readonly element: HTMLFormElement;
  readonly field: HTMLTextAreaElement;
  readonly #status = make('p', { class: 'status', role: 'status' });
  readonly #count = make('span', { class: 'count', 'aria-hidden': 'true' });
  readonly #above = make('div', { class: 'above' });
  readonly #submit: HTMLButtonElement;
  readonly #options: ComposerOptions;
  #limit = { graphemes: 300, bytes: 1024 };

  constructor(options: ComposerOptions) {
    this.#options = options;
    this.field = make('textarea', { rows: 1, 'aria-label': options.label, placeholder: options.label, enterkeyhint: 'send', autocomplete: 'off' });
    this.#submit = button(icon('send'), { class: 'send', type: 'submit', 'aria-label': 'Send' }, () => undefined);
    const row = make('div', { class: 'row' }, this.field, this.#count, this.#submit);
    this.element = make('form', { class: 'composer' }, this.#above, row, this.#status);
    this.element.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#send();
    });
    this.field.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.element.requestSubmit();
    });
    this.field.addEventListener('input', () => this.#changed());
    this.#changed();
  }

  limit(graphemes: number, bytes: number): void {
    this.#limit = { graphemes, bytes };
    this.#changed();
  }

  /** Why nothing can be written now; empty if it can. */
  close(reason: string): void {
    this.field.disabled = reason !== '';
    this.field.placeholder = reason || this.#options.label;
    this.#changed();
  }

  /** Shows a line above the field, with a way to take it back. */
  quote(text: string, drop: () => void): void {
    const away = button(icon('close'), { class: 'small', 'aria-label': 'Do not reply' }, () => {
      this.unquote();
      drop();
      this.field.focus();
    });
    this.#above.replaceChildren(make('span', {}, text), away);
    this.field.focus();
  }

  unquote(): void {
    this.#above.replaceChildren();
  }

  /** Gives a draft back, if nothing else is being written; answers whether it did. */
  restore(text: string, reason: string): boolean {
    this.tell('refused', reason);
    if (this.field.value.trim() !== '') return false;
    this.field.value = text;
    this.#changed();
    return true;
  }

  tell(state: string, text: string): void {
    this.#status.dataset['state'] = state;
    say(this.#status, text);
  }

  async #send(): Promise<void> {
    const text = this.field.value.trim();
    if (!text || this.#submit.disabled) return;
    const { send, eager, done } = this.#options;
    if (eager) {
      this.#empty();
      this.tell('', '');
      void send(text).catch(() => undefined);
      return;
    }
    this.#submit.disabled = true;
    const ack = await follow(this.#status, send(text), done);
    // What was written in the meantime stays.
    if (ack && this.field.value.trim() === text) this.#empty();
    this.#changed();
  }

  #empty(): void {
    this.field.value = '';
    this.#changed();
  }

  #changed(): void {
    const text = this.field.value.trim();
    const length = segmenter ? [...segmenter.segment(text)].length : [...text].length;
    const left = Math.min(this.#limit.graphemes - length, this.#limit.bytes - encoder.encode(text).length);
    say(this.#count, left < NEAR ? String(left) : '');
    this.#count.classList.toggle('over', left < 0);
    this.#submit.disabled = text === '' || left < 0 || this.field.disabled;
    this.field.style.height = 'auto';
    if (this.field.value) this.field.style.height = `${Math.min(this.field.scrollHeight, 120)}px`;
  }
}
