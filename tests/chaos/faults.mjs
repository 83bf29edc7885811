// The faults: what each does to a running server, how often, and what has to hold whatever it does.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { sleep } from '../browser/lib.mjs';

const run = promisify(execFile);

/** The encode workers of a server. */
async function workers(server) {
  const { stdout } = await run('pgrep', ['-P', String(server.pid)]).catch(() => ({ stdout: '' }));
  return stdout.split('\n').filter(Boolean).map(Number);
}

const kill = {
  /** The publisher dies without a word, and is started again `away` milliseconds later. */
  publisher: (away) => async (house) => house.losePublisher(away),
  worker: async (house) => {
    for (const pid of await workers(house.server)) process.kill(pid, 'SIGKILL');
  },
  server: async (house) => house.restartServer('SIGKILL'),
};

/**
 * By name: `mode`, what the network is (see network.mjs) and SRT's `latency`, the `fault` and how often it happens
 * (`every` milliseconds), how many DISCONTINUITYs there may be for each, whether requests are refused meanwhile, whether a
 * part may be late for longer than players hold back, and whether what stays lost is compared with libsrt's own receiver.
 */
export const FAULTS = {
  nothing: { every: 10_000, fault: async () => {} },
  publisher: { every: 10_000, fault: kill.publisher(300) },
  absence: { every: 20_000, fault: kill.publisher(8000) },
  'passthrough-publisher': { mode: 'passthrough', every: 20_000, fault: kill.publisher(4000), discontinuities: 1 },
  worker: { every: 10_000, fault: kill.worker, hesitates: true },
  server: { every: 20_000, fault: kill.server, discontinuities: 1, refuses: true },
  'passthrough-server': { mode: 'passthrough', every: 20_000, fault: kill.server, discontinuities: 1, refuses: true },
  'loss-5': { network: { delay: 40, loss: 0.05 }, latency: 200, every: 10_000, fault: async () => {}, compare: true },
  'loss-10': { network: { delay: 40, loss: 0.1 }, latency: 500, every: 10_000, fault: async () => {}, compare: true },
  jitter: { network: { delay: 40, jitter: 30 }, latency: 200, every: 10_000, fault: async () => {}, compare: true },
  outage: { network: { delay: 40 }, latency: 500, every: 10_000, fault: async (house) => house.network.outage(300) },
  'long-outage': { network: { delay: 40 }, latency: 500, every: 20_000, fault: async (house) => house.network.outage(4000) },
  all: {
    network: { delay: 10, jitter: 5, loss: 0.01 },
    latency: 200,
    every: 15_000,
    fault: async (house, number) => {
      const faults = [kill.publisher(300), kill.worker, (one) => one.network.outage(1500), kill.publisher(5000), kill.server];
      await faults[number % faults.length](house);
    },
    discontinuities: 1,
    refuses: true,
    hesitates: true,
  },
};

/** Does a fault over and over for so many seconds; answers how often. */
export async function repeat(house, { every, fault }, seconds) {
  const until = Date.now() + seconds * 1000;
  let number = 0;
  while (Date.now() + every <= until) {
    const due = Date.now() + every;
    await fault(house, number++);
    await sleep(due - Date.now());
  }
  return number;
}
