/**
 * Reads the clock that `nowcast publish` burns into the picture. Runs in the page, as a plain script.
 *
 * The top twelfth of the picture is 40 blocks across its full width: 1010, then the low 32 bits of the Unix time in
 * milliseconds, most significant first, then the exclusive or of its eight nibbles. White is 1.
 */
'use strict';

const CLOCK_BLOCKS = 40;
const CLOCK_SYNC = [1, 0, 1, 0];

/** The 40 bits' value, or `undefined` if they are no clock. */
function decodeClock(bits) {
  if (CLOCK_SYNC.some((bit, place) => bits[place] !== bit)) return undefined;
  const number = (from, count) => bits.slice(from, from + count).reduce((value, bit) => value * 2 + bit, 0);
  const value = number(4, 32);
  let check = 0;
  for (let nibble = 0; nibble < 8; nibble++) check ^= number(4 + 4 * nibble, 4);
  return check === number(36, 4) ? value : undefined;
}

/** Reads the clock of a video element's present picture. */
class ClockReader {
  #canvas = new OffscreenCanvas(CLOCK_BLOCKS * 4, 4);
  #context = this.#canvas.getContext('2d', { willReadFrequently: true });

  /** The low 32 bits of the burnt-in Unix time in milliseconds, or `undefined`. */
  read(video) {
    const { width, height } = this.#canvas;
    // The middle half of the band, each block four pixels wide; its inner two are looked at.
    this.#context.drawImage(video, 0, video.videoHeight / 48, video.videoWidth, video.videoHeight / 24, 0, 0, width, height);
    const { data } = this.#context.getImageData(0, 0, width, height);
    const bits = [];
    for (let block = 0; block < CLOCK_BLOCKS; block++) {
      let luma = 0;
      for (let y = 0; y < height; y++) {
        for (const x of [block * 4 + 1, block * 4 + 2]) luma += data[(y * width + x) * 4 + 1];
      }
      bits.push(luma / (height * 2) > 127 ? 1 : 0);
    }
    return decodeClock(bits);
  }
}

/** Reading a picture converts all of it to RGB, which takes a share of the CPU that the player then lacks. */
const READ_EVERY_MS = 200;

/**
 * Measures glass-to-glass latency five times a second; returns the growing record: `samples` of `{ at, latency }` in
 * milliseconds, how many of the pictures looked at were `unread`, and how many `pictures` were shown.
 */
function recordLatency(video) {
  const reader = new ClockReader();
  const record = { samples: [], unread: 0, pictures: 0 };
  let due = 0;
  const onFrame = () => {
    record.pictures++;
    const now = Date.now();
    if (now >= due) {
      due = now + READ_EVERY_MS;
      const clock = reader.read(video);
      if (clock === undefined) record.unread++;
      else record.samples.push({ at: now, latency: (now - clock) >>> 0 });
    }
    video.requestVideoFrameCallback(onFrame);
  };
  video.requestVideoFrameCallback(onFrame);
  return record;
}

// An init script has a scope of its own.
Object.assign(globalThis, { ClockReader, decodeClock, recordLatency });
