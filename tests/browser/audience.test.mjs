// The audience in the picture: watch pages and the studio in Chromium, against a real server.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from './lib.mjs';
import { apart, behind, cameWith, clockWith, counted, fallBehind, FRAME_MS, House, lookFor, offFrame, say, tab, watch, watchClosely } from './room.mjs';
import { openRoute, ROUTES } from './routes.mjs';

/** To be told in whole milliseconds. */
const ONE_FRAME = FRAME_MS + 1;
/** How often a card looks whether its poll is over, and how late a busy machine may be with that. */
const LOOKS_MS = 250;
const LATE_MS = 500;

let house;
let browser;
/** Near live and far behind it. */
let near;
let far;
/** What the near page's messages wait for to be confirmed. */
let gate;

before(async () => {
  house = await House.open();
  browser = await launch();
  const context = await newContext();
  await context.routeWebSocket('**', (socket) => {
    const server = socket.connectToServer();
    server.onMessage(async (message) => {
      if (message.includes('"confirmed"')) await gate;
      socket.send(message);
    });
  });
  [near, far] = await Promise.all([watch(context, house.base), newViewer()]);
  await fallBehind(far, 6000);
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

async function newViewer(options, base = house.base) {
  return watch(await newContext(options), base);
}

/**
 * Fails unless a text came with the frame at `bind` or, where the machine was too busy to show that one, with the first one after
 * it: a frame less or more, pictures being known by the clock in them.
 */
async function assertOnFrame(t, page, text, { msn, pts }) {
  const late = await behind(page);
  const came = await cameWith(page, text);
  const { chosen, first } = offFrame(came, await house.pictures(msn), pts);
  t.diagnostic(`“${text}”, ${late} ms behind: ${chosen} ms from the chosen frame, ${first} ms from the first one shown of it or after it`);
  assert.ok(chosen >= -ONE_FRAME, `${-chosen} ms before its frame`);
  assert.ok(Math.abs(first) <= ONE_FRAME, `${first} ms from its frame`);
}

test('a poll opens and closes with the frames that the host chose, however far behind a viewer is', async (t) => {
  const question = 'Who wins?';
  await Promise.all([near, far].map((page) => lookFor(page, question)));
  const opened = await house.host('poll', 'open', 'live', question, 'Ada', 'Bob', '--at', '+1s');
  const late = await Promise.all([near, far].map(behind));
  assert.ok(late[1] - late[0] > 5000, `both are alike: ${late}`);
  await assertOnFrame(t, near, question, opened.bind);
  await tab(near, 'polls');
  await lookFor(near, 'Who wins? Voting is over');
  const closed = await house.host('poll', 'close', 'live', opened.id, '--at', '+1s');
  const end = await cameWith(near, 'Who wins? Voting is over');
  const over = offFrame(end, await house.pictures(closed.bind.msn), closed.bind.pts).chosen;
  t.diagnostic(`voting is over ${over} ms of picture after the frame it closes with`);
  assert.ok(over >= -ONE_FRAME && over <= LOOKS_MS + LATE_MS, `closed ${over} ms from its frame`);
  await assertOnFrame(t, far, question, opened.bind);
});

test('the chat never runs ahead of the picture, and what is removed before its picture is never shown', async (t) => {
  const text = 'What a goal!';
  await Promise.all([lookFor(near, text), lookFor(near, 'rude'), ...[text, 'rude', 'polite'].map((one) => lookFor(far, one))]);
  await tab(near, 'chat');
  await say(near, text);
  // One's own line is there from the moment it is sent.
  const sent = clockWith(await cameWith(near, text));
  await far.waitForFunction((wanted) => !window.shown[wanted] && window.nowcastRoom.held > 0, text);
  const visitor = await house.visitor();
  const rude = await visitor.send('chat.send', { text: 'rude' });
  await cameWith(near, 'rude');
  await house.host('moderate', 'remove', 'live', rude.id);
  await near.getByText('A moderator removed a message.').waitFor();
  await visitor.send('chat.send', { text: 'polite' });

  const ahead = apart(clockWith(await cameWith(far, text)), sent);
  t.diagnostic(`${ahead} ms of picture after what its author saw`);
  assert.ok(ahead >= -ONE_FRAME, `${-ahead} ms of picture too early`);
  await cameWith(far, 'polite');
  assert.equal(await far.evaluate(() => window.shown.rude), undefined);
  assert.equal(await far.locator('.said').filter({ hasText: 'rude' }).count(), 0);
  // Nobody else is looked at that far behind.
  await far.context().close();
});

test('a page that has nothing but the media sees polls, results, announcements and reactions', async (t) => {
  const context = await newContext();
  await context.routeWebSocket('**', (socket) => socket.close());
  await context.route('**/events/**', (route) => route.abort());
  const page = await watch(context, house.base, { outside: true });
  await page.waitForFunction(() => window.nowcastRoom);
  await page.evaluate(() => {
    window.counts = {};
    window.nowcastRoom.on('reactions', ({ body }) => Object.assign(window.counts, body.counts));
    window.nowcastRoom.on('poll.result', ({ bind }) => (window.result = bind));
  });
  await tab(page, 'polls');
  for (const text of ['Alone?', 'Alone? Final result', 'Hear this']) await lookFor(page, text);
  const { id, bind } = await house.host('poll', 'open', 'live', 'Alone?', 'yes', 'no', '--at', '+1s');
  await assertOnFrame(t, page, 'Alone?', bind);
  const visitor = await house.visitor();
  assert.equal((await visitor.send('poll.vote', { poll: id, options: ['2'] })).state, 'confirmed');
  await visitor.send('react', { emoji: '🎉' });
  await house.host('announce', 'live', 'Hear this');
  await house.host('poll', 'close', 'live', id);
  await cameWith(page, 'Hear this');
  await cameWith(page, 'Alone? Final result');
  await assertOnFrame(t, page, 'Alone? Final result', await page.evaluate(() => window.result));
  await page.waitForFunction(() => window.counts['🎉'] === 1);
  const shares = page.locator('#pane-polls .poll').filter({ hasText: 'Alone?' }).locator('.share');
  assert.deepEqual(await shares.allTextContents(), ['0 %', '100 %']);
  assert.notEqual(await page.evaluate(() => window.nowcastRoom.connection), 'open');
  await context.close();
});

test('a message is being sent, then sent; too many are refused, with the drafts kept and the reason', async () => {
  let release;
  gate = new Promise((done) => (release = done));
  await tab(near, 'chat');
  await say(near, 'slowly');
  const own = near.locator('.own').filter({ hasText: 'slowly' });
  await own.getByText('Sending …').waitFor();
  release();
  await own.getByText('Sent', { exact: true }).waitFor();
  // Once its picture is there it is a line like any other.
  await own.and(near.locator('[data-id]')).waitFor();

  // More than may be sent at once, in one moment.
  const texts = Array.from({ length: 5 }, (_, number) => `again ${number}`);
  await near.evaluate((all) => {
    const field = document.querySelector('.chat textarea');
    for (const text of all) {
      field.value = text;
      field.dispatchEvent(new Event('input'));
      field.form.requestSubmit();
    }
  }, texts);
  const told = near.locator('.chat .composer .status');
  await told.getByText(/Try again in \d+ s\.$/).waitFor();
  const draft = await near.locator('.chat textarea').inputValue();
  assert.ok(texts.includes(draft), `the field has "${draft}"`);
  // The field holds one draft; another waits in its line.
  const waiting = near.locator('.own.refused').first();
  await waiting.getByRole('button', { name: 'Discard' }).waitFor();
  assert.match(await waiting.textContent(), /^You again \d.*Try again in \d+ s\./);
  await near.locator('.chat textarea').fill('');
});

test('by the keyboard alone one votes, writes and asks', async () => {
  const { id } = await house.host('poll', 'open', 'live', 'Keys?', 'yes', 'no');
  await near.locator('.dock').getByText('Keys?').waitFor();
  const press = (key) => near.keyboard.press(key);
  /** Tab by Tab to what matches. */
  const reach = async (selector) => {
    for (let stop = 0; stop < 40; stop++) {
      if (await near.evaluate((wanted) => document.activeElement.matches(wanted), selector)) return;
      await press('Tab');
    }
    assert.fail(`Tab does not lead to ${selector}`);
  };
  await near.evaluate(() => document.activeElement.blur());
  await reach('#tab-chat');
  await press('ArrowRight');
  await reach('.poll .option');
  await press(' ');
  await near.locator('#pane-polls').getByText('Your vote counts.').waitFor();
  await near.locator('#pane-polls .option[aria-pressed=true]').first().waitFor();
  const poll = (await house.host('poll', 'ls', 'live')).find((one) => one.id === id);
  assert.deepEqual([poll.voters, poll.options.map(({ votes }) => votes)], [1, [1, 0]]);
  const back = async (selector) => {
    for (let stop = 0; stop < 40 && !(await near.evaluate((wanted) => document.activeElement.matches(wanted), selector)); stop++) await press('Shift+Tab');
  };
  await back('#tab-polls');
  await press('ArrowRight');
  await reach('.questions textarea');
  await near.keyboard.type('Why?');
  await press('Enter');
  await near.locator('#pane-questions .text').getByText('Why?').waitFor();
  await back('#tab-questions');
  await press('ArrowRight');
  await reach('.chat textarea');
  await near.keyboard.type('by keys');
  await press('Enter');
  await near.locator('.own').filter({ hasText: 'by keys' }).waitFor();
  await house.host('poll', 'cancel', 'live', id);
});

test('at 320 px the room is whole: nothing leaves the screen, and a thumb sends and votes', async () => {
  const page = await newViewer({ viewport: { width: 320, height: 640 }, hasTouch: true, isMobile: true });
  const { id } = await house.host('poll', 'open', 'live', 'Thumbs?', 'up', 'down');
  await page.locator('.dock button').tap();
  await page.locator('#pane-polls .option').first().tap();
  await page.getByText('Your vote counts.').first().waitFor();
  await page.locator('#tab-chat').tap();
  await say(page, 'from a phone, in a sentence that is longer than the screen is wide');
  await page.locator('.own').filter({ hasText: 'from a phone' }).waitFor();
  const screen = await page.evaluate(() => {
    const out = [...document.querySelectorAll('#audience *')].filter((element) => {
      if (!element.checkVisibility() || element.closest('.scroll, svg')) return false;
      const { left, right, bottom, width } = element.getBoundingClientRect();
      return width > 1 && (left < 0 || right > 320 || bottom > 640);
    });
    const small = [...document.querySelectorAll('#audience button, #audience textarea')].filter((element) => {
      const { width, height } = element.getBoundingClientRect();
      return element.checkVisibility() && !element.closest('.actions') && (width < 32 || height < 32);
    });
    const name = ({ tagName, className }) => `${tagName}.${className}`;
    return { width: document.scrollingElement.scrollWidth, out: out.map(name), small: small.map(name) };
  });
  assert.deepEqual(screen, { width: 320, out: [], small: [] });
  await house.host('poll', 'cancel', 'live', id);
  await page.context().close();
});

test('the studio: its code works once; polls, removals and spotlights reach the viewers', async () => {
  const address = await house.studio();
  const context = await newContext({ viewport: { width: 1400, height: 800 } });
  const studio = await context.newPage();
  await studio.goto(address);
  await studio.locator('#connection[data-state=open]').waitFor();
  assert.equal(new URL(studio.url()).hash, '', 'the code stays in the address');
  const stranger = await (await newContext()).newPage();
  await stranger.goto(address);
  await stranger.getByText('The studio is closed').waitFor();
  await stranger.context().close();

  await lookFor(near, 'From the studio?');
  await studio.getByLabel('Question', { exact: true }).fill('From the studio?');
  await studio.getByLabel('Option 1').fill('one');
  await studio.getByLabel('Option 2').fill('two');
  await studio.getByRole('button', { name: 'Open poll' }).click();
  await cameWith(near, 'From the studio?');
  await tab(near, 'polls');
  const card = near.locator('#pane-polls .poll').filter({ hasText: 'From the studio?' });
  await card.getByText('one', { exact: true }).click();
  const desk = studio.locator('.poll').filter({ hasText: 'From the studio?' });
  await desk.getByText('1 voter').waitFor();
  // The result is there once the last of those who are behind has had their time.
  await desk.getByRole('button', { name: 'Close' }).click();

  const visitor = await house.visitor();
  await tab(near, 'chat');
  await visitor.send('chat.send', { text: 'buy now' });
  await near.locator('.said').getByText('buy now').waitFor();
  const line = studio.locator('.chat li').filter({ hasText: 'buy now' });
  await line.hover();
  await line.getByRole('button', { name: /^Remove/ }).click();
  await near.locator('.said').getByText('buy now').waitFor({ state: 'detached' });

  await visitor.send('qa.ask', { text: 'How is it done?' });
  await lookFor(near, 'How is it done?');
  await studio.locator('.questions li').filter({ hasText: 'How is it done?' }).getByRole('button', { name: 'Put on air' }).click();
  await cameWith(near, 'How is it done?');
  await near.locator('#overlay .spotlight').getByText('How is it done?').waitFor();

  await tab(near, 'polls');
  await Promise.all([card, desk].map((each) => each.getByText('Final result').waitFor()));
  // A tab that was let in stays so.
  await studio.reload();
  await studio.locator('#connection[data-state=open]').waitFor();
  assert.deepEqual(await studio.evaluate(() => window.faults), []);
  await context.close();
});

test('the room is asked for after the first picture alone, and where it does not come the picture is the same', async (t) => {
  const start = async (block) => {
    const context = await newContext();
    if (block) await context.route('**/audience-*', (route) => route.abort());
    const page = await context.newPage();
    // Before the page's own script listens.
    await page.addInitScript(() => addEventListener('playing', ({ timeStamp }) => (window.playing ??= timeStamp), true));
    await page.goto(`${house.base}/watch/live`);
    if (block) await page.getByText('cannot be reached. Reload').waitFor();
    else await page.waitForFunction(() => window.nowcastRoom?.connection === 'open');
    await page.waitForFunction(() => window.pictures.length > 10);
    const { playing, asked } = await page.evaluate(() => {
      const entries = performance.getEntriesByType('resource').map(({ name, startTime }) => ({ path: new URL(name).pathname, at: startTime }));
      return { playing: window.playing, asked: entries };
    });
    await context.close();
    const pages = asked.filter(({ path, at }) => at < playing && !path.startsWith('/live/')).map(({ path }) => path);
    const room = asked.filter(({ path }) => /audience-.*js|session|events/.test(path)).map(({ at }) => at);
    return { playing, pages, ahead: Math.min(...room) - playing };
  };
  const [without, having] = [await start(true), await start(false)];
  t.diagnostic(`first picture after ${Math.round(without.playing)} ms without the room, ${Math.round(having.playing)} ms with it; it is asked for ${having.ahead.toFixed(1)} ms later`);
  assert.ok(having.ahead >= 0, `asked for ${-having.ahead} ms before the first picture`);
  assert.deepEqual(having.pages, without.pages);
});

for (const route of ROUTES.filter((name) => name !== 'direct')) {
  test(`the room through ${route}: socket, ops, polls on their frame, and one request for each tick`, async (t) => {
    const origin = await counted(house.base);
    const way = await openRoute(route, origin.base);
    try {
      const page = await newViewer({}, way.base);
      await lookFor(page, `By ${route}?`);
      const { id, bind } = await house.host('poll', 'open', 'live', `By ${route}?`, 'yes', 'no', '--at', '+1s');
      await assertOnFrame(t, page, `By ${route}?`, bind);
      assert.equal((await page.evaluate((poll) => window.nowcastRoom.send('poll.vote', { poll, options: ['1'] }), id)).state, 'confirmed');
      const visitor = await house.visitor(way.base);
      assert.equal((await visitor.send('poll.vote', { poll: id, options: ['1'] })).state, 'confirmed');
      await page.context().close();

      const events = `${way.base}/live/live/events`;
      const times = (path) => origin.asked.filter((target) => target.endsWith(path)).length;
      const { epoch, tick } = await (await fetch(`${events}/state.json`)).json();
      // Sought by ten players, each with a query of its own besides.
      const next = Array.from({ length: 10 }, (_, player) => fetch(`${events}/${epoch}/next.json?_t=${tick + 1}&CMCD=sid%3D${player}`));
      await house.host('poll', 'cancel', 'live', id);
      const ticks = await Promise.all(next.map(async (answer) => (await answer).json()));
      assert.deepEqual(ticks.map((one) => one.tick), Array(10).fill(tick + 1));
      assert.equal(times(`/next.json?_t=${tick + 1}`), 1);
      assert.equal(origin.asked.filter((target) => target.includes('CMCD')).length, 0);
      // Another tick is another object.
      await visitor.send('qa.ask', { text: `by ${route}` });
      const later = await (await fetch(`${events}/${epoch}/next.json?_t=${tick + 2}`)).json();
      assert.equal(later.tick, tick + 2);
      const [states, from] = [times('/state.json'), Date.now()];
      await Promise.all(Array.from({ length: 10 }, () => fetch(`${events}/state.json`)));
      // It lives a second.
      const most = 1 + Math.ceil((Date.now() - from) / 1000);
      assert.ok(times('/state.json') - states <= most, `${times('/state.json') - states} requests for a state that lives a second`);
    } finally {
      await way.stop();
      origin.stop();
    }
  });
}
