/** `/studio/STREAM`: the host's console. */

import { Chat } from './room/chat.ts';
import { follow } from './room/action.ts';
import { button, clock, make, say } from './room/dom.ts';
import { Questions, type QuestionActions } from './room/questions.ts';
import { Tabs } from './room/tabs.ts';
import { Room } from './sdk/index.ts';
import { access, forget, NoAccess, type Access } from './studio/access.ts';
import { HealthView, type Health } from './studio/health.ts';
import { landing, nowAt } from './studio/landing.ts';
import { lineActions, modes, queue } from './studio/moderation.ts';
import { Picture } from './studio/picture.ts';
import { announcer, pollDesk } from './studio/polls.ts';

const stream = decodeURIComponent(location.pathname.split('/')[2] ?? '');
const root = document.querySelector('main')!;
const connection = document.querySelector('#connection')!;
document.title = `${stream} · studio · nowcast`;
say(document.querySelector('#name')!, stream);
document.querySelector<HTMLAnchorElement>('#watch')!.href = `/watch/${encodeURIComponent(stream)}`;

function open({ token }: Access): void {
  let room: Room | undefined;
  const picture = new Picture(stream, ({ hls }) => hls && room?.attach(hls));
  // Who runs the show sees things as they come, not as late as the picture is.
  room = new Room({
    stream,
    video: picture.video,
    hold: false,
    token: async (renew) => {
      if (renew) lockedOut('Your access has ended.');
      return token;
    },
  });
  Object.assign(globalThis, { nowcastRoom: room });
  const chat: Chat = new Chat(room, lineActions(room, (state, text) => chat.composer.tell(state, text)));
  const questions = new Questions(room, questionActions(room));
  const health = new HealthView(stream, token, showPhase);
  const desk = make('section', { class: 'pane polldesk' }, make('div', { class: 'scroll' }, pollDesk(room), announcer(room)));
  const tabs: Tabs = new Tabs(
    'Desk',
    [
      { id: 'show', label: 'Show', icon: 'health', pane: make('section', { class: 'show' }, picture.element, health.element) },
      { id: 'polls', label: 'Polls', icon: 'poll', pane: desk },
      { id: 'questions', label: 'Q&A', icon: 'question', pane: questions.element },
      { id: 'chat', label: 'Chat', icon: 'chat', pane: chat.element },
    ],
    (id) => {
      root.dataset['tab'] = id;
      if (id === 'chat') chat.shown();
    },
  );
  root.dataset['tab'] = 'show';
  chat.element.prepend(modes(room), queue(room, (number) => tabs.badge('chat', number, 'to decide on')));
  const heading = (pane: Element, text: string): Element => {
    pane.prepend(make('h2', { class: 'title' }, text));
    return pane;
  };
  const shows = make('div', { class: 'columns' });
  root.replaceChildren(shows, tabs.element);
  shows.append(tabs.pane('show'), heading(desk, 'Polls'), heading(questions.element, 'Questions'), heading(chat.element, 'Chat'));
  for (const kind of ['state', 'qa.asked', 'qa.spotlight', 'qa.answered']) {
    room.on(kind, () => tabs.badge('questions', room.state.questions.filter(({ state }) => state === 'asked').length, 'open'));
  }
  room.on('connection', (state) => {
    (connection as HTMLElement).dataset['state'] = state;
    say(connection, { open: 'Connected', connecting: 'Connecting …', waiting: 'Connection lost, trying again …', closed: 'Not connected' }[state]);
  });
  picture.start();
}

function questionActions(room: Room): QuestionActions {
  return ({ id, state }, status) => {
    const act = (label: string, kind: string, style: string): HTMLElement =>
      button(label, { class: `button small ${style}` }, () => {
        void follow(status, room.send(kind, { question: id }, { at: nowAt(room) })).then((ack) => {
          if (ack?.bind && kind === 'qa.spotlight') say(status, landing(ack));
        });
      });
    if (state === 'asked') return [act('Put on air', 'qa.spotlight', 'primary'), act('Answered', 'qa.answer', ''), act('Dismiss', 'qa.dismiss', '')];
    if (state === 'spotlight') return [act('Answered', 'qa.answer', 'primary'), act('Dismiss', 'qa.dismiss', '')];
    return [];
  };
}

function showPhase(health: Health | undefined): void {
  const phase = document.querySelector<HTMLElement>('#phase')!;
  phase.dataset['phase'] = health?.phase ?? 'unreachable';
  const since = health?.phase === 'live' && health.since_ms ? ` ${clock((Date.now() - health.since_ms) / 1000)}` : '';
  say(phase, health ? `${health.phase}${since}` : 'no answer');
  say(document.querySelector('#viewers')!, health ? `${health.audience.viewers.toLocaleString('en')} watching` : '');
}

function lockedOut(why: string): void {
  forget(stream);
  root.replaceChildren(make('section', { class: 'locked' }, make('h1', {}, 'The studio is closed'), make('p', { role: 'alert' }, why)));
}

access(stream).then(open, (error: unknown) => {
  lockedOut(error instanceof NoAccess ? error.message : 'Something went wrong. Reload the page to try again.');
  if (!(error instanceof NoAccess)) throw error;
});
