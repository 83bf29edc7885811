/** Moderating: what waits, what was reported, what the chat allows, what can be done with a line or a person. */

import { follow, why } from '../room/action.ts';
import type { LineActions } from '../room/chat.ts';
import { button, icon, make, say, type Icon } from '../room/dom.ts';
import { nameOf, nameTag } from '../room/people.ts';
import type { HeldMessage, Report, Room } from '../sdk/index.ts';
import { check, select } from './polls.ts';

const MUTE_MS = 600_000;
/** A second press within this time does what cannot be taken back by itself. */
const SURE_MS = 3000;
const SLOW: [ms: number, text: string][] = [
  [0, 'No slow mode'],
  [3000, 'Slow: 3 s'],
  [5000, 'Slow: 5 s'],
  [10_000, 'Slow: 10 s'],
  [30_000, 'Slow: 30 s'],
  [60_000, 'Slow: 1 min'],
];
const MODES: [mode: 'locked' | 'emoji' | 'followers' | 'hold', text: string][] = [
  ['locked', 'Closed'],
  ['emoji', 'Emoji only'],
  ['followers', 'Names only'],
  ['hold', 'Hold all'],
];

/** What a moderator can do with a line of the chat; `tell` says how it went. */
export function lineActions(room: Room, tell: (state: string, text: string) => void): LineActions {
  const act = (kind: string, body: object, done: string): void => {
    room.send(kind, body).then(() => tell('sent', done), (error: unknown) => tell('refused', why(error)));
  };
  return ({ id, by }) => {
    const who = nameOf(by);
    const tool = (name: Icon, label: string, onClick: () => void): HTMLButtonElement =>
      button(icon(name), { class: 'small', title: label, 'aria-label': `${label}: ${who}` }, onClick);
    const tools = [
      tool('pin', 'Pin', () => act('pin', { message: id }, 'Pinned.')),
      tool('close', 'Remove', () => act('mod.remove', { message: id }, 'Removed, also where it was not shown yet.')),
    ];
    if (!by) return tools;
    const ban = tool('ban', 'Ban', () => {
      if (ban.classList.contains('sure')) return act('mod.ban', { viewer: by.id }, `${who} is banned.`);
      ban.classList.add('sure');
      tell('refused', `Press again to ban ${who} for good.`);
      setTimeout(() => ban.classList.remove('sure'), SURE_MS);
    });
    return [...tools, tool('mute', 'Mute for 10 minutes', () => act('mod.mute', { viewer: by.id, duration_ms: MUTE_MS }, `${who} is muted for 10 minutes.`)), ban];
  };
}

/** The queue of held messages and reports; `waiting` hears how many there are. */
export function queue(room: Room, waiting: (number: number) => void): HTMLElement {
  const list = make('ol', { 'aria-label': 'Waiting for a decision' });
  const element = make('div', { class: 'queue', hidden: true }, list);
  const known = new Map<string, () => void>();
  const changed = (): void => {
    element.hidden = list.childElementCount === 0;
    waiting(list.childElementCount);
  };

  function add(key: string, what: string, by: HeldMessage['by'], text: string, decide: (status: HTMLElement, done: () => void) => HTMLElement[]): void {
    if (known.has(key)) return;
    const status = make('p', { class: 'status', role: 'status' });
    const item = make('li', {}, make('p', { class: 'from' }, nameTag(by), make('span', { class: 'why' }, what)), make('p', { class: 'text' }, text));
    const done = (): void => {
      known.delete(key);
      item.remove();
      changed();
    };
    known.set(key, done);
    item.append(make('p', { class: 'buttons' }, ...decide(status, done)), status);
    list.append(item);
    changed();
  }
  const decision = (label: string, style: string, kind: string, message: string, status: HTMLElement, done: () => void): HTMLElement =>
    button(label, { class: `button small ${style}` }, () => void follow(status, room.send(kind, { message })).then((ack) => ack && done()));

  room.on('held', ({ id, text, by, why: reason, decided }: HeldMessage) => {
    // Here, or by somebody else.
    if (decided) return known.get(`held ${id}`)?.();
    add(`held ${id}`, `held: ${reason}`, by, text, (status, done) => [
      decision('Approve', 'primary', 'mod.approve', id, status, done),
      decision('Reject', '', 'mod.reject', id, status, done),
    ]);
  });
  room.on('chat.removed', ({ id, body }) => known.get(`report ${body.message ?? id}`)?.());
  room.on('report', ({ message, reason }: Report) => {
    const event = room.state.chat.find(({ id }) => id === message);
    if (!event) return;
    add(`report ${message}`, `reported: ${reason}`, event.by, event.body.text, (status, done) => [
      decision('Remove', 'primary', 'mod.remove', message, status, done),
      button('Keep', { class: 'button small' }, done),
    ]);
  });
  return element;
}

/** What the chat allows. */
export function modes(room: Room): HTMLElement {
  const status = make('p', { class: 'status', role: 'status' });
  const set = (mode: string, value: number | boolean): void => {
    void follow(status, room.send('mod.mode', { mode, value }), 'Set.').then(render);
  };
  const slow = select('Slow mode', SLOW);
  slow.addEventListener('change', () => set('slow', Number(slow.value)));
  const boxes = MODES.map(([mode, text]) => {
    const box = make('input', { type: 'checkbox' });
    box.addEventListener('change', () => set(mode, box.checked));
    return { mode, box, element: check(box, text) };
  });
  function render(): void {
    const now = room.state.modes;
    if (![...slow.options].some(({ value }) => Number(value) === now.slow)) slow.append(new Option(`Slow: ${now.slow / 1000} s`, String(now.slow)));
    slow.value = String(now.slow);
    for (const { mode, box } of boxes) box.checked = now[mode];
  }
  room.on('state', render);
  room.on('mode.changed', render);
  const summary = make('summary', {}, 'What the chat allows');
  room.on('mode.changed', () => say(summary, MODES.some(([mode]) => room.state.modes[mode]) || room.state.modes.slow > 0 ? 'What the chat allows: limited' : 'What the chat allows'));
  return make('details', { class: 'modes' }, summary, make('div', { class: 'settings' }, slow, ...boxes.map(({ element }) => element)), status);
}
