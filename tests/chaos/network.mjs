// A bad network between one caller and one listener: a UDP proxy that delays, jitters, loses and falls silent.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';

/** Numbers from 0 to 1, the same ones for the same seed (mulberry32). */
function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), seed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export class BadNetwork {
  /** A way to `port` of loopback; `delay` and `jitter` are milliseconds for one way, `loss` a share of 1. */
  static async open(port, { delay = 0, jitter = 0, loss = 0, seed = 1 } = {}) {
    const [near, far] = [createSocket('udp4'), createSocket('udp4')];
    for (const socket of [near, far]) {
      socket.bind(0, '127.0.0.1');
      await once(socket, 'listening');
      // What is sent to a port that nobody listens on is lost, as anywhere.
      socket.on('error', () => {});
    }
    const network = new BadNetwork();
    Object.assign(network, { near, far, port: near.address().port, silent: false, lost: 0, carried: 0 });
    const chance = random(seed);
    let caller;
    const carry = (bytes, send) => {
      if (network.silent || chance() < loss) {
        network.lost += 1;
        return;
      }
      network.carried += 1;
      const wait = delay + jitter * chance();
      if (wait > 0) setTimeout(() => !network.closed && send(bytes), wait);
      else send(bytes);
    };
    near.on('message', (bytes, from) => {
      caller = from;
      carry(bytes, (bytes) => far.send(bytes, port, '127.0.0.1'));
    });
    far.on('message', (bytes) => carry(bytes, (bytes) => near.send(bytes, caller.port, caller.address)));
    return network;
  }

  /** Carries nothing for a while. */
  async outage(milliseconds) {
    this.silent = true;
    await new Promise((done) => setTimeout(done, milliseconds));
    this.silent = false;
  }

  close() {
    this.closed = true;
    this.near.close();
    this.far.close();
  }
}
