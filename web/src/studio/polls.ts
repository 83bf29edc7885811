/** Opens polls, and runs those that are open. */

import { PollCard } from '../room/poll.ts';
import { openThenPast } from '../room/polls.ts';
import { follow } from '../room/action.ts';
import { button, icon, make } from '../room/dom.ts';
import type { Poll, Room } from '../sdk/index.ts';
import { landing, nowAt } from './landing.ts';

const RESULTS: [value: Poll['results'], text: string][] = [
  ['always', 'Results at once'],
  ['after_vote', 'Results after one’s vote'],
  ['after_close', 'Results at the end'],
  ['on_reveal', 'Results when I reveal them'],
];
const DURATIONS: [ms: number, text: string][] = [
  [0, 'Until I close it'],
  [15_000, '15 s'],
  [30_000, '30 s'],
  [60_000, '1 min'],
  [120_000, '2 min'],
  [300_000, '5 min'],
];
const OPTIONS = 10;

export function pollDesk(room: Room): HTMLElement {
  return make('section', { class: 'desk' }, form(room), running(room));
}

function form(room: Room): HTMLElement {
  const question = make('input', { class: 'field', 'aria-label': 'Question', placeholder: 'Ask your audience', maxlength: 200, autocomplete: 'off' });
  const options = make('div', { class: 'choices' });
  const results = select('Results', RESULTS);
  const duration = select('Closes', DURATIONS);
  duration.value = '60000';
  const multi = make('input', { type: 'checkbox' });
  const change = make('input', { type: 'checkbox', checked: true });
  const status = make('p', { class: 'status', role: 'status' });
  const submit = make('button', { class: 'button primary', type: 'submit' }, 'Open poll');
  const more = button('Add an option', { class: 'link' }, () => addOption().focus());

  const fields = (): HTMLInputElement[] => [...options.querySelectorAll('input')];
  function addOption(): HTMLInputElement {
    const number = fields().length + 1;
    const field = make('input', { class: 'field', 'aria-label': `Option ${number}`, placeholder: `Option ${number}`, maxlength: 80, autocomplete: 'off' });
    field.addEventListener('input', changed);
    options.append(field);
    more.hidden = fields().length >= (room.limits?.options ?? OPTIONS);
    return field;
  }
  function texts(): string[] {
    return fields().map(({ value }) => value.trim()).filter(Boolean);
  }
  function changed(): void {
    submit.disabled = question.value.trim() === '' || texts().length < 2;
  }
  function clear(): void {
    question.value = '';
    options.replaceChildren();
    addOption();
    addOption();
    changed();
  }

  const element = make('form', { class: 'card pollform' });
  element.append(
    make('h2', {}, 'New poll'),
    question,
    options,
    more,
    make('div', { class: 'settings' }, results, duration, check(multi, 'Several answers'), check(change, 'Votes can change')),
    make('div', { class: 'submit' }, submit, make('p', { class: 'hint' }, 'It appears on the frame you are in as you press.')),
    status,
  );
  question.addEventListener('input', changed);
  element.addEventListener('submit', (event) => {
    event.preventDefault();
    const at = nowAt(room);
    const duration_ms = Number(duration.value) || null;
    const body = { question: question.value.trim(), options: texts(), multi: multi.checked, change_vote: change.checked, results: results.value, duration_ms };
    submit.disabled = true;
    void follow(status, room.send('poll.open', body, { at }), 'Opened.').then((ack) => {
      changed();
      if (!ack) return;
      clear();
      status.dataset['turn'] = '';
      status.dataset['state'] = 'sent';
      status.textContent = landing(ack);
    });
  });
  clear();
  return element;
}

/** The polls there are, each with what can be done to it. */
function running(room: Room): HTMLElement {
  const element = make('div', { class: 'polls', 'aria-label': 'Polls' });
  const cards = new Map<string, { card: PollCard; actions: HTMLElement; status: HTMLElement; state: string }>();

  function add(poll: Poll): { card: PollCard; actions: HTMLElement; status: HTMLElement; state: string } {
    const card = new PollCard(poll);
    const actions = make('p', { class: 'buttons' });
    const status = make('p', { class: 'status', role: 'status' });
    card.element.append(actions, status);
    const made = { card, actions, status, state: '' };
    cards.set(poll.id, made);
    return made;
  }
  function act(label: string, kind: string, poll: Poll, status: HTMLElement, style = ''): HTMLElement {
    return button(label, { class: `button small ${style}` }, () => {
      void follow(status, room.send(kind, { poll: poll.id }, { at: nowAt(room) }), 'Done.').then((ack) => {
        if (ack?.bind) status.textContent = landing(ack);
      });
    });
  }
  function render(): void {
    const polls = openThenPast(room.state.polls);
    for (const [id, { card }] of cards) {
      if (polls.some((poll) => poll.id === id)) continue;
      card.element.remove();
      cards.delete(id);
    }
    polls.forEach((poll, place) => {
      const made = cards.get(poll.id) ?? add(poll);
      made.card.update(poll, { mine: [], date: room.serverNow });
      const state = `${poll.state} ${poll.results}`;
      if (made.state !== state) {
        made.state = state;
        const open = poll.state === 'open' || poll.state === 'closing';
        const reveal = poll.results === 'on_reveal' ? [act('Reveal results', 'poll.reveal', poll, made.status)] : [];
        made.actions.replaceChildren(...(open ? [act('Close', 'poll.close', poll, made.status, 'primary'), ...reveal, act('Cancel', 'poll.cancel', poll, made.status)] : reveal));
      }
      if (element.children[place] !== made.card.element) element.insertBefore(made.card.element, element.children[place] ?? null);
    });
  }
  for (const kind of ['state', 'poll.opened', 'poll.tally', 'poll.result', 'poll.cancelled']) room.on(kind, render);
  setInterval(() => {
    for (const { card } of cards.values()) card.tick(room.serverNow);
  }, 250);
  return element;
}

/** Says something to everybody, over the picture. */
export function announcer(room: Room): HTMLElement {
  const text = make('input', { class: 'field', 'aria-label': 'Announcement', placeholder: 'Show a line over the picture', maxlength: 280, autocomplete: 'off' });
  const duration = select('Shown for', [[8000, '8 s'], [15_000, '15 s'], [30_000, '30 s'], [60_000, '1 min']]);
  const submit = make('button', { class: 'button', type: 'submit' }, icon('horn'), 'Announce');
  const status = make('p', { class: 'status', role: 'status' });
  const element = make('form', { class: 'card announce' }, make('h2', {}, 'Announcement'), text, make('div', { class: 'submit' }, submit, duration), status);
  element.addEventListener('submit', (event) => {
    event.preventDefault();
    if (!text.value.trim()) return;
    const sent = room.send('announce', { text: text.value.trim(), duration_ms: Number(duration.value) }, { at: nowAt(room) });
    void follow(status, sent).then((ack) => {
      if (!ack) return;
      text.value = '';
      status.textContent = landing(ack);
    });
  });
  return element;
}

export function select(label: string, options: [value: string | number, text: string][]): HTMLSelectElement {
  return make('select', { class: 'field', 'aria-label': label }, ...options.map(([value, text]) => make('option', { value }, text)));
}

export function check(box: HTMLInputElement, label: string): HTMLElement {
  return make('label', { class: 'check' }, box, make('span', {}, label));
}
