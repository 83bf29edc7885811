// The room over time: viewers who go back, a server that is killed and comes back, moderators who hold, mute and ban.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from './lib.mjs';
import { cameWith, FRAME_MS, House, lookFor, offFrame, say, tab, watch, watchClosely } from './room.mjs';

let house;
let browser;
let page;

before(async () => {
  house = await House.open();
  browser = await launch();
  const context = await browser.newContext({ viewport: { width: 960, height: 540 } });
  await watchClosely(context);
  page = await watch(context, house.base);
});

after(async () => {
  await browser?.close();
  await house?.close();
});

const said = () => page.locator('.chat li[data-id] .said .text').allTextContents();
const line = (text) => page.locator('.chat li[data-id]').filter({ hasText: text });

test('who goes back sees the room as it was then, and all of it again with its frames', async (t) => {
  await tab(page, 'polls');
  const card = page.locator('#pane-polls .poll');
  await page.waitForFunction(() => document.querySelector('video').buffered.length > 0 && window.pictures.at(-1).time - window.pictures[0].time > 6);
  const { id, bind } = await house.host('poll', 'open', 'live', 'Then?', 'yes', 'no');
  await card.getByText('Open', { exact: true }).waitFor();
  await house.host('poll', 'close', 'live', id);
  await card.getByText('Final result').waitFor();

  await page.evaluate(() => document.activeElement.blur());
  for (let time = 0; time < 2; time++) await page.keyboard.press('ArrowLeft');
  await card.waitFor({ state: 'detached' });
  await page.evaluate(() => (window.pictures = []));
  for (const text of ['Then?', 'Then? Final result']) await lookFor(page, text);
  const again = offFrame(await cameWith(page, 'Then?'), await house.pictures(bind.msn), bind.pts);
  t.diagnostic(`again ${again.chosen} ms from its frame`);
  assert.ok(again.chosen >= -FRAME_MS - 1 && Math.abs(again.first) <= FRAME_MS + 1, `${again.first} ms from its frame`);
  assert.match(await card.locator('.time').textContent(), /Open|Voting is over/);
  await page.waitForFunction(() => window.shown['Then? Final result']);
  assert.equal(await card.count(), 1);
  await page.keyboard.press('l');
  await tab(page, 'chat');
});

test('a server that is killed and comes back: the page goes on, nothing is lost and nothing is there twice', async () => {
  const visitor = await house.visitor();
  await say(page, 'before');
  await visitor.send('chat.send', { text: 'before, by another' });
  await Promise.all(['before', 'before, by another'].map((text) => line(text).first().waitFor()));
  const { id } = await house.host('poll', 'open', 'live', 'Still there?', 'yes', 'no');
  await page.locator('.dock').getByText('Still there?').waitFor();
  await page.evaluate((poll) => window.nowcastRoom.send('poll.vote', { poll, options: ['1'] }), id);

  await house.kill();
  await page.waitForFunction(() => window.nowcastRoom.connection !== 'open');
  // Nobody is there to take it.
  await say(page, 'meanwhile');
  const own = page.locator('.own.pending').filter({ hasText: 'meanwhile' });
  await own.getByText('Sending …').waitFor();
  await page.getByText('Connection lost. What you send goes out as soon as it is back.').waitFor();

  await house.start();
  await visitor.send('chat.send', { text: 'after, by another' });
  await page.waitForFunction(() => window.nowcastRoom.connection === 'open', undefined, { timeout: 40_000 });
  const shown = await page.evaluate(() => window.pictures.length);
  await page.waitForFunction((pictures) => window.pictures.length > pictures + 30, shown, { timeout: 40_000 });
  await Promise.all(['meanwhile', 'after, by another'].map((text) => line(text).waitFor()));
  assert.deepEqual((await said()).sort(), ['after, by another', 'before', 'before, by another', 'meanwhile']);
  assert.equal(await page.locator('.own.pending').count(), 0);
  const poll = (await house.host('poll', 'ls', 'live')).find((one) => one.id === id);
  assert.deepEqual([poll.id, poll.voters, poll.options.map(({ votes }) => votes)], [id, 1, [1, 0]]);
  assert.deepEqual(await page.evaluate((name) => window.nowcastRoom.state.mine.votes[name], id), ['1']);
});

test('held messages wait in the studio, leave it when anybody decides, and their author is told', async () => {
  const studio = await (await browser.newContext({ viewport: { width: 1400, height: 800 } })).newPage();
  await studio.goto(await house.studio());
  await studio.locator('#connection[data-state=open]').waitFor();
  await house.host('moderate', 'mode', 'live', 'hold', 'on');
  await page.getByText('Messages wait for a moderator.').waitFor();
  const visitor = await house.visitor();
  await say(page, 'may I?');
  await page.getByText('A moderator will look at it first.').waitFor();
  const queue = studio.getByRole('list', { name: 'Waiting for a decision' }).locator('li');
  await queue.filter({ hasText: 'may I?' }).getByRole('button', { name: 'Approve' }).click();
  await line('may I?').waitFor();
  // Another moderator decides on this one.
  const { id } = await visitor.send('chat.send', { text: 'no, you may not' });
  await queue.filter({ hasText: 'no, you may not' }).waitFor();
  const held = await house.host('moderate', 'held', 'live');
  await house.host('moderate', 'reject', 'live', id ?? held[0].id);
  await queue.first().waitFor({ state: 'detached' });
  assert.equal(await queue.count(), 0);
  await house.host('moderate', 'mode', 'live', 'hold', 'off');
  await studio.context().close();
});

test('who is muted or banned is told so', async () => {
  const viewer = await page.evaluate(() => window.nowcastRoom.viewer);
  await house.host('moderate', 'mute', 'live', viewer, '--duration', '10min');
  await page.waitForFunction(() => window.nowcastRoom.state.mine.muted_until > 0);
  await say(page, 'am I heard?');
  const told = page.locator('.chat .composer .status[data-state=refused]');
  await told.filter({ hasText: /\w/ }).waitFor();
  assert.match(await told.textContent(), /^You cannot write for a while\. A moderator .* Try again in 10 min\.$/);
  assert.equal(await page.locator('.chat textarea').inputValue(), 'am I heard?');

  await house.host('moderate', 'ban', 'live', viewer);
  await page.waitForFunction(() => window.nowcastRoom.connection === 'closed');
  const banner = page.locator('#audience .connection');
  await banner.waitFor();
  assert.match(await banner.textContent(), /moderator|banned|shut/i);
  assert.deepEqual(await page.evaluate(() => window.faults), []);
});
