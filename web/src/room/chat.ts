/** The chat: what others say as the picture reaches it, and what one said oneself from the moment it was sent. */

import type { OpProgress, Room, RoomEvent } from '../sdk/index.ts';
import { follow, why } from './action.ts';
import { Composer } from './composer.ts';
import { button, icon, make, say } from './dom.ts';
import { nameOf, nameTag } from './people.ts';

/** Lines kept on the page. */
const LINES = 200;
/** Nearer to the end than this, in pixels, new lines keep the end in view. */
const AT_END = 60;

const MODES: [mode: 'locked' | 'emoji' | 'followers' | 'hold', text: string][] = [
  ['locked', 'The chat is closed for now.'],
  ['emoji', 'Emoji only.'],
  ['followers', 'Only people with a name may write.'],
  ['hold', 'Messages wait for a moderator.'],
];

/** What viewers notice of each step of an overload. */
const BUSY: (string | undefined)[] = [
  undefined,
  undefined,
  'Much is being written: links wait for a moderator.',
  'Much is being written: one message every 10 s, and links wait for a moderator.',
  'Much is being written: only people with a name may write for now.',
];

/** What a host or moderator may do with a line besides. */
export type LineActions = (event: RoomEvent) => HTMLElement[];

export class Chat {
  readonly element = make('section', { class: 'pane chat' });
  readonly composer: Composer;
  readonly #room: Room;
  readonly #actions: LineActions | undefined;
  readonly #list = make('ol');
  /** One stop for the Tab key; the arrows go from line to line, and Tab to what can be done with one. */
  readonly #scroll = make('div', { class: 'scroll', role: 'log', 'aria-live': 'off', 'aria-label': 'Messages, arrows go through them', tabindex: 0 });
  readonly #newer = button('', { class: 'newer', hidden: true }, () => this.#toEnd());
  readonly #empty = make('p', { class: 'empty' }, 'Nobody has said anything yet.');
  readonly #mode = make('p', { class: 'mode', hidden: true });
  readonly #pinned = make('div', { class: 'pinned', hidden: true });
  readonly #lines = new Map<string, HTMLLIElement>();
  readonly #mine = new Map<string, { line: HTMLLIElement; seq: number | undefined }>();
  #replyTo: RoomEvent | undefined;
  #missed = 0;
  /** The end is kept in view. */
  #following = true;
  #top = 0;
  #waiting: RoomEvent[] = [];

  constructor(room: Room, actions?: LineActions) {
    this.#room = room;
    this.#actions = actions;
    this.composer = new Composer({ label: 'Say something', done: '', eager: true, send: (text) => this.#send(text) });
    this.#scroll.append(this.#empty, this.#list);
    this.element.append(this.#pinned, make('div', { class: 'lines' }, this.#scroll, this.#newer), this.#mode, this.composer.element);
    this.#scroll.addEventListener('scroll', () => this.#scrolled());
    this.#scroll.addEventListener('keydown', (event) => this.#onKey(event));
    // What takes room above or below does not push the end out of view.
    new ResizeObserver(() => this.#following && this.#toEnd()).observe(this.#scroll);
    room.on('state', () => this.#all());
    room.on('chat.message', (event) => this.#queue(event));
    room.on('chat.removed', (event) => this.#removed(event.body.message ?? event.id));
    room.on('pinned', () => this.#renderPinned());
    room.on('mode.changed', () => this.#renderModes());
    room.on('op', (progress) => this.#onOp(progress));
    room.on('welcome', ({ limits }) => this.composer.limit(limits.text_graphemes ?? 300, limits.text_bytes ?? 1024));
    this.#all();
  }

  /** How many lines came since the end was last in view. */
  get missed(): number {
    return this.#missed;
  }

  #send(text: string): ReturnType<Room['send']> {
    const reply = this.#replyTo ? { reply_to: this.#replyTo.id } : {};
    this.#replyTo = undefined;
    this.composer.unquote();
    return this.#room.send('chat.send', { text, ...reply });
  }

  // ---------------------------------------------------------------- others

  #all(): void {
    this.#waiting = [];
    this.#lines.clear();
    const own = [...this.#mine.values()].map(({ line }) => line);
    const lines = this.#room.state.chat.slice(-LINES).map((event) => this.#line(event));
    this.#list.replaceChildren(...lines, ...own);
    this.#empty.hidden = lines.length + own.length > 0;
    this.#renderPinned();
    this.#renderModes();
    this.#toEnd();
  }

  /** A busy chat is drawn once for each frame of the page, not once for each line. */
  #queue(event: RoomEvent): void {
    if (this.#waiting.push(event) > 1) return;
    // A hidden page draws no frames.
    if (document.hidden) queueMicrotask(() => this.#draw());
    else requestAnimationFrame(() => this.#draw());
  }

  #draw(): void {
    const events = this.#waiting.splice(0).slice(-LINES).filter(({ id }) => !this.#lines.has(id));
    if (events.length === 0) return;
    for (const event of events) {
      const own = [...this.#mine].find(([id, { seq }]) => id === event.id || (seq !== undefined && seq === event.seq));
      const line = this.#line(event);
      if (own) {
        own[1].line.replaceWith(line);
        this.#mine.delete(own[0]);
      } else {
        const [first] = this.#mine.values();
        if (first) first.line.before(line);
        else this.#list.append(line);
      }
    }
    while (this.#list.childElementCount > LINES) {
      const oldest = this.#list.firstElementChild as HTMLLIElement;
      this.#lines.delete(oldest.dataset['id'] ?? '');
      oldest.remove();
    }
    this.#empty.hidden = true;
    if (this.#following && this.#scroll.clientHeight > 0) this.#toEnd();
    else this.#missed += events.length;
    this.#renderMissed();
  }

  #line(event: RoomEvent): HTMLLIElement {
    const { id, by, body } = event;
    const line = make('li', { 'data-id': id, tabindex: -1 });
    if (by && by.id === this.#room.viewer) line.classList.add('own');
    const reply = body.reply_to && this.#room.state.chat.find((one) => one.id === body.reply_to);
    if (reply) line.append(make('p', { class: 'reply' }, icon('reply'), make('span', {}, `${nameOf(reply.by)}: ${reply.body.text}`)));
    const status = make('span', { class: 'status', role: 'status' });
    const actions = make('span', { class: 'actions' });
    const answer = button(icon('reply'), { class: 'small', title: 'Reply', 'aria-label': `Reply to ${nameOf(by)}` }, () => {
      this.#replyTo = event;
      this.composer.quote(`Replying to ${nameOf(by)}`, () => (this.#replyTo = undefined));
    });
    const report = button(icon('flag'), { class: 'small', title: 'Report', 'aria-label': `Report this message of ${nameOf(by)}` }, () => {
      void follow(status, this.#room.send('report', { message: id, reason: 'unwanted' }), 'Reported. Thank you.');
    });
    actions.append(answer, ...(this.#actions?.(event) ?? [report]));
    // Two hundred lines are no four hundred stops.
    const stops = (tabIndex: number) => () => actions.querySelectorAll('button').forEach((one) => (one.tabIndex = tabIndex));
    line.addEventListener('focusin', stops(0));
    line.addEventListener('focusout', stops(-1));
    stops(-1)();
    line.append(make('p', { class: 'said' }, nameTag(by), ' ', make('span', { class: 'text' }, body.text)), actions, status);
    this.#lines.set(id, line);
    return line;
  }

  #removed(id: string): void {
    const line = this.#lines.get(id);
    if (!line) return;
    line.className = 'removed';
    line.replaceChildren(make('p', { class: 'said' }, 'A moderator removed a message.'));
    this.#renderPinned();
  }

  // ---------------------------------------------------------------- one's own

  #onOp({ op, state, ack, refusal }: OpProgress): void {
    if (op.kind !== 'chat.send') return;
    const { text } = op.body as { text: string };
    let own = this.#mine.get(op.op_id);
    if (!own && state === 'sending') {
      own = { line: make('li', { class: 'own pending' }), seq: undefined };
      own.line.append(make('p', { class: 'said' }, make('b', { class: 'name' }, 'You'), ' ', make('span', { class: 'text' }, text)));
      own.line.append(make('span', { class: 'status', role: 'status' }, 'Sending …'));
      this.#mine.set(op.op_id, own);
      this.#list.append(own.line);
      this.#empty.hidden = true;
      this.#toEnd();
    }
    if (!own) return;
    const status = own.line.querySelector('.status') as HTMLElement;
    if (state === 'confirmed') {
      own.seq = ack?.seq;
      status.dataset['state'] = 'sent';
      say(status, 'Sent');
      // Its own picture may have been there already.
      const there = this.#room.state.chat.find(({ id, seq }) => id === op.op_id || (seq !== undefined && seq === own.seq));
      if (there) this.#drop(op.op_id);
    } else if (state === 'held') {
      status.dataset['state'] = 'held';
      say(status, 'A moderator will look at it first.');
      setTimeout(() => this.#drop(op.op_id), 8000);
    } else if (state === 'refused' && refusal) {
      this.#refused(op.op_id, text, why(refusal));
    }
  }

  /** The draft goes back into the field; while something else is written there, it waits in its line. */
  #refused(id: string, text: string, reason: string): void {
    const own = this.#mine.get(id);
    if (!own) return;
    if (this.composer.restore(text, reason)) {
      this.#drop(id);
      return;
    }
    own.line.classList.add('refused');
    const edit = button('Edit', { class: 'link' }, () => {
      if (!this.composer.restore(text, '')) this.composer.field.value += ` ${text}`;
      this.composer.field.focus();
      this.#drop(id);
    });
    const drop = button('Discard', { class: 'link' }, () => this.#drop(id));
    own.line.querySelector('.status')?.replaceChildren(`${reason} `, edit, drop);
  }

  #drop(id: string): void {
    this.#mine.get(id)?.line.remove();
    this.#mine.delete(id);
  }

  // ---------------------------------------------------------------- around it

  #renderPinned(): void {
    const { pinned } = this.#room.state;
    this.#pinned.hidden = !pinned;
    if (!pinned) return;
    const { text, by } = pinned.body;
    this.#pinned.replaceChildren(icon('pin'), make('p', {}, nameTag(by), ' ', make('span', { class: 'text' }, text ?? '')));
  }

  #renderModes(): void {
    const { modes } = this.#room.state;
    const texts = MODES.filter(([mode]) => modes[mode]).map(([, text]) => text);
    if (modes.slow > 0) texts.push(`Slow mode: one message every ${Math.ceil(modes.slow / 1000)} s.`);
    const busy = BUSY[modes.overload];
    if (busy !== undefined) texts.push(busy);
    this.#mode.hidden = texts.length === 0;
    say(this.#mode, texts.join(' '));
    const exempt = this.#room.role !== undefined && this.#room.role !== 'viewer';
    this.composer.close(modes.locked && !exempt ? 'The chat is closed for now' : '');
  }

  #renderMissed(): void {
    this.#newer.hidden = this.#missed === 0;
    this.#newer.replaceChildren(icon('down'), `${this.#missed} new`);
    this.element.dispatchEvent(new Event('missed'));
  }

  #caughtUp(): void {
    if (this.#missed === 0) return;
    this.#missed = 0;
    this.#renderMissed();
  }

  #scrolled(): void {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroll;
    if (clientHeight === 0) return;
    // Told late: lines may have come since. Only who scrolls up wants to stay there.
    if (scrollHeight - scrollTop - clientHeight < AT_END) this.#following = true;
    else if (scrollTop < this.#top) this.#following = false;
    this.#top = scrollTop;
    if (this.#following) this.#caughtUp();
  }

  #toEnd(): void {
    this.#following = true;
    this.#scroll.scrollTop = this.#scroll.scrollHeight;
    if (this.#scroll.clientHeight > 0) this.#caughtUp();
  }

  #onKey(event: KeyboardEvent): void {
    const lines = [...this.#list.children] as HTMLElement[];
    const at = lines.findIndex((line) => line.contains(document.activeElement));
    const from = at < 0 ? lines.length : at;
    const next = { ArrowUp: from - 1, ArrowDown: from + 1, Home: 0, End: lines.length - 1 }[event.key];
    if (event.key === 'Escape') this.composer.field.focus();
    else if (next === undefined || !lines[next]) return;
    else lines[next].focus();
    event.preventDefault();
  }

  /** The pane came into view. */
  shown(): void {
    this.#toEnd();
  }
}
