/** A room's state, moved on by one event at a time. */

import type { Option, Poll, Question, RoomEvent, RoomState } from './types.ts';

/** Messages kept for showing. */
const CHAT = 200;
const ANNOUNCEMENTS = 20;

export function emptyState(): RoomState {
  const modes = { slow: 0, locked: false, emoji: false, followers: false, hold: false, overload: 0 };
  return { media: null, polls: [], questions: [], announcements: [], pinned: null, modes, chat: [] };
}

/** Applies `event` to `state` in place; answers whether that said anything new. */
export function apply(state: RoomState, event: RoomEvent): boolean {
  const { kind, id, body } = event;
  switch (kind) {
    case 'chat.message':
      return push(state.chat, event, CHAT);
    case 'chat.removed': {
      const message = body.message ?? id;
      state.chat = state.chat.filter((one) => one.id !== message);
      if (state.pinned?.body.message === message) state.pinned = null;
      return true;
    }
    case 'announcement':
      return push(state.announcements, event, ANNOUNCEMENTS);
    case 'pinned':
      state.pinned = body.message === null ? null : event;
      return true;
    case 'mode.changed':
      Object.assign(state.modes, { [body.mode]: body.value });
      return true;
    case 'poll.opened':
    case 'poll.tally':
    case 'poll.result':
    case 'poll.cancelled':
      return applyPoll(state.polls, event);
    case 'qa.asked':
    case 'qa.ranked':
    case 'qa.spotlight':
    case 'qa.answered':
      return applyQuestion(state.questions, event);
    default:
      return true;
  }
}

function applyPoll(polls: Poll[], { kind, id, bind, body }: RoomEvent): boolean {
  const poll = polls.find((one) => one.id === (body.poll ?? id));
  if (kind === 'poll.opened') {
    if (poll) return false;
    polls.push({ closes_at: null, rev: 0, voters: 0, state: 'open', ...body, id, ...(bind && { bind }) });
    return true;
  }
  if (!poll) {
    // The end of a poll whose beginning was before the window of what we follow.
    if (kind !== 'poll.result') return false;
    const unknown = { question: '', multi: false, change_vote: false, results: 'always' as const, closes_at: null };
    polls.push({ ...unknown, ...body, id: body.poll ?? id, state: 'closed' });
    return true;
  }
  if (kind === 'poll.cancelled') {
    poll.state = 'cancelled';
    return true;
  }
  const over = poll.state === 'closed' || poll.state === 'cancelled';
  // Who has voted may be shown the counts of a revision that others see without them.
  const counts = (options: Option[] | undefined): boolean => options?.some(({ votes }) => votes !== undefined) ?? false;
  const shows = counts(body.options) || body.votes?.length > 0;
  const same = body.rev === poll.rev && shows && !counts(poll.options);
  if (kind === 'poll.tally' && (over || (body.rev <= poll.rev && !same))) return false;
  if (body.question) poll.question = body.question;
  poll.rev = body.rev;
  poll.voters = body.voters ?? poll.voters;
  poll.options = merge(poll.options, body.options, body.votes);
  if (kind === 'poll.result') poll.state = 'closed';
  else if (body.closing) poll.state = 'closing';
  if (body.closes_at !== undefined) poll.closes_at = body.closes_at;
  return true;
}

/** The media tell votes as a plain list, in the order of the options. */
function merge(known: Option[], options: Option[] | undefined, votes: number[] | undefined): Option[] {
  if (options) return options.map((option) => ({ ...known.find(({ id }) => id === option.id), ...option }));
  if (!votes?.length) return known;
  return known.map((option, index) => ({ ...option, votes: votes[index] ?? 0 }));
}

function applyQuestion(questions: Question[], { kind, id, by, body }: RoomEvent): boolean {
  const find = (wanted: string): Question | undefined => questions.find((one) => one.id === wanted);
  if (kind === 'qa.asked') {
    if (find(id)) return false;
    questions.push({ id, text: body.text, ...(by && { by }), votes: body.votes ?? 0, state: 'asked' });
  } else if (kind === 'qa.ranked') {
    for (const ranked of body.questions ?? []) {
      const question = find(ranked.id);
      if (question) question.votes = ranked.votes;
    }
  } else if (kind === 'qa.spotlight') {
    for (const other of questions) if (other.state === 'spotlight') other.state = 'asked';
    const question = find(body.question ?? id);
    if (question) question.state = 'spotlight';
    else questions.push({ id: body.question ?? id, text: body.text, by: body.by, votes: 0, state: 'spotlight' });
  } else {
    const question = find(body.question ?? id);
    if (question) question.state = body.dismissed ? 'dismissed' : 'answered';
  }
  return true;
}

function push(list: RoomEvent[], event: RoomEvent, most: number): boolean {
  if (list.some(({ id, seq }) => id === event.id && seq === event.seq)) return false;
  list.push(event);
  if (list.length > most) list.shift();
  return true;
}
