// The audience in the picture: watch pages and the studio in Chromium, against a real server.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from './lib.mjs';
import { apart, behind, cameWith, fallBehind, FRAME, FRAME_MS, House, lookFor, watch, watchClosely } from './room.mjs';

let house;
let browser;
/** Near live and far behind it. */
let near;
let far;

before(async () => {
  house = await House.open();
  browser = await launch();
  [near, far] = await Promise.all([newViewer(), newViewer()]);
  await fallBehind(far, 7000);
});

after(async () => {
  await browser?.close();
  await house?.close();
});

/** Each viewer has a browser profile, so a session, of their own. */
async function newContext(options) {
  const context = await browser.newContext({ viewport: { width: 960, height: 540 }, ...options });
  await watchClosely(context);
  return context;
}

async function newViewer(options) {
  return watch(await newContext(options), house.base);
}

/** The first picture at or after `clock` that the page showed, and the one before it. */
function around(page, clock) {
  return page.evaluate((wanted) => {
    const place = window.pictures.findIndex((picture) => ((picture - wanted) | 0) >= 0);
    return { before: window.pictures[place - 1], first: window.pictures[place] };
  }, clock);
}

test('a poll comes with the frame that the host chose, however far behind a viewer is', async (t) => {
  const question = 'Who wins?';
  await Promise.all([near, far].map((page) => lookFor(page, question)));
  const { bind } = await house.host('poll', 'open', 'live', question, 'Ada', 'Bob', '--at', '+1s');
  const latency = await Promise.all([near, far].map(behind));
  const chosen = await house.clockAt(bind);
  const came = await Promise.all([near, far].map((page) => cameWith(page, question)));
  for (const [viewer, page] of [near, far].entries()) {
    const { first } = await around(page, chosen);
    const [ofChosen, ofShown] = [apart(came[viewer], chosen), apart(came[viewer], first)];
    t.diagnostic(`${latency[viewer]} ms behind: ${ofChosen} ms from the chosen frame, ${ofShown} ms from the first one shown of it or after it`);
  }
});
