/** The audience's part of the watch page. Loaded once there is a picture; playback never waits for it and never fails with it. */

import { Announcer } from './room/announcer.ts';
import { Chat } from './room/chat.ts';
import { button, icon, make, say } from './room/dom.ts';
import { Overlay } from './room/overlay.ts';
import { openThenPast, PollCards } from './room/polls.ts';
import { Questions } from './room/questions.ts';
import { reactionRow } from './room/reactions.ts';
import { Tabs } from './room/tabs.ts';
import { Room, type HlsLike } from './sdk/index.ts';

/** What the page hands over, and what it gets. */
export interface AudienceOptions {
  stream: string;
  video: HTMLVideoElement;
  hls: HlsLike | undefined;
  panel: HTMLElement;
  overlay: HTMLElement;
  /** Called with the number of things a closed panel hides. */
  missed: (number: number) => void;
}

export interface Audience {
  /** Another player plays the stream. */
  attach(hls: HlsLike): void;
}

const TICK_MS = 250;
/** A connection that is back sooner is not worth a word. */
const LOST_MS = 2000;

export function join({ stream, video, hls, panel, overlay, missed }: AudienceOptions): Audience {
  const room = new Room({ stream, video, ...(hls && { hls }) });
  // For tests, and for whoever looks at the page with the browser's tools.
  Object.assign(globalThis, { nowcastRoom: room });
  const over = new Overlay(room, overlay);
  const chat = new Chat(room);
  const polls = new PollCards(room, openThenPast);
  const questions = new Questions(room);
  const noPolls = make('p', { class: 'empty' }, 'No polls yet. When the host opens one, it shows here with the picture it belongs to.');
  const pollPane = make('section', { class: 'pane' }, make('div', { class: 'scroll' }, noPolls, polls.element));
  const dock = make('div', { class: 'dock' });
  const connection = make('p', { class: 'connection', role: 'status', hidden: true });
  chat.composer.element.before(reactionRow(room, (emoji) => over.fly(emoji), (text) => chat.composer.tell('refused', text)));

  const tabs = new Tabs(
    'Audience',
    [
      { id: 'chat', label: 'Chat', icon: 'chat', pane: chat.element },
      { id: 'polls', label: 'Polls', icon: 'poll', pane: pollPane },
      { id: 'questions', label: 'Q&A', icon: 'question', pane: questions.element },
    ],
    (id) => {
      if (id === 'chat') chat.shown();
      renderDock();
    },
  );
  const announcer = new Announcer(room, () => panel.contains(document.activeElement) && tabs.chosen === 'chat');
  panel.replaceChildren(connection, tabs.element, dock, chat.element, pollPane, questions.element, announcer.element);

  /** Polls to vote in are one tap away from wherever one is. */
  function renderDock(): void {
    const { polls: all, mine } = room.state;
    const open = all.filter(({ id, state }) => state === 'open' && !mine?.votes[id]);
    noPolls.hidden = polls.element.childElementCount > 0;
    tabs.badge('polls', open.length, 'to vote in');
    tabs.badge('questions', room.state.questions.filter(({ state }) => state === 'asked' || state === 'spotlight').length, 'open');
    const newest = open.at(-1);
    dock.hidden = !newest || tabs.chosen === 'polls';
    missed(chat.missed + open.length);
    if (!newest || dock.dataset['poll'] === newest.id) return;
    dock.dataset['poll'] = newest.id;
    const vote = button('Vote', { class: 'button primary small' }, () => {
      tabs.choose('polls');
      polls.element.querySelector<HTMLElement>('.option')?.focus();
    });
    dock.replaceChildren(icon('poll'), make('p', {}, newest.question), vote);
  }

  let lost = 0;
  room.on('connection', (state) => {
    panel.dataset['connection'] = state;
    if (state === 'open') {
      clearTimeout(lost);
      lost = 0;
      connection.hidden = true;
    } else if (!lost) {
      lost = window.setTimeout(() => {
        connection.hidden = false;
        if (room.connection !== 'closed') say(connection, 'Connection lost. What you send goes out as soon as it is back.');
      }, LOST_MS);
    }
  });
  room.on('bye', ({ code, reason }) => {
    if (code !== 'auth.banned') return;
    connection.hidden = false;
    say(connection, reason || 'A moderator has shut you out of this room.');
  });
  for (const kind of ['state', 'poll.opened', 'poll.result', 'poll.cancelled', 'qa.asked', 'qa.answered', 'op']) room.on(kind, renderDock);
  chat.element.addEventListener('missed', renderDock);
  setInterval(() => {
    polls.tick();
    over.tick();
  }, TICK_MS);
  renderDock();
  return { attach: (player) => room.attach(player) };
}
