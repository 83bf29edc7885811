import assert from 'node:assert/strict';
import { test } from 'node:test';

import { record } from '../src/report.ts';

test('a report is one line of CMCD version 2, its keys in order', () => {
  const playback = { latency: 0.6804, buffered: 1.234, stalls: 2, bitrate: 2_500_400, stalled: false };
  assert.equal(
    record('6e2f', 'live', 1_760_000_000_123, 4, playback),
    'bl=(1200),br=(2500),bsa=(2),cid="live",e=t,live.nowcast-sample="4",ltc=680,sid="6e2f",sta=p,ts=1760000000123,v=2',
  );
});

test('what is not known is left out', () => {
  const playback = { latency: undefined, buffered: 0, stalls: 0, bitrate: undefined, stalled: true };
  assert.equal(
    record('a', 'live', 1, 1, playback),
    'bl=(0),bsa=(0),cid="live",e=t,live.nowcast-sample="1",sid="a",sta=r,ts=1,v=2',
  );
  assert.equal(record('a', 'live', 1, 1), 'cid="live",e=ps,live.nowcast-sample="1",sid="a",sta=q,ts=1,v=2');
});
