/** The stream in the studio: it plays whenever it can, and says when it cannot. */

import { Backoff, streamStatus } from '../api.ts';
import { Player } from '../player.ts';
import { button, make, say } from '../room/dom.ts';

const WORDS: Record<string, string> = {
  idle: 'Nobody publishes this stream yet.',
  starting: 'The first picture is a few seconds away.',
  waiting: 'The publisher’s connection is lost.',
  ended: 'The stream has ended.',
  unsupported: 'What the publisher sends cannot be shown.',
  unknown: 'There is no such stream.',
  unreachable: 'The server cannot be reached.',
};

export class Picture {
  readonly element = make('div', { class: 'picture' });
  readonly video = make('video', { autoplay: true, muted: true, playsinline: true, 'aria-label': 'What viewers see' });
  readonly #playlist: string;
  readonly #stream: string;
  readonly #message = make('p', { class: 'message', role: 'status' });
  readonly #backoff = new Backoff();
  readonly #attached: (player: Player) => void;
  #player: Player | undefined;

  /** `attached` gets each new player. */
  constructor(stream: string, attached: (player: Player) => void) {
    this.#stream = stream;
    this.#playlist = `/live/${encodeURIComponent(stream)}/index.m3u8`;
    this.#attached = attached;
    this.video.muted = true;
    const sound = button('Sound off', { class: 'button small', 'aria-pressed': 'false' }, () => {
      this.video.muted = !this.video.muted;
      sound.setAttribute('aria-pressed', String(!this.video.muted));
      say(sound, this.video.muted ? 'Sound off' : 'Sound on');
    });
    this.element.append(this.video, this.#message, sound);
  }

  /** The picture's date, Unix milliseconds. */
  get date(): number | undefined {
    return this.#player?.playingDate;
  }

  start(): void {
    this.#player?.destroy();
    this.#player = new Player(this.video, this.#playlist);
    this.#player.addEventListener('playing', () => {
      this.#backoff.reset();
      say(this.#message, '');
    });
    this.#player.addEventListener('failed', () => void this.#again());
    this.#attached(this.#player);
  }

  async #again(): Promise<void> {
    const status = await streamStatus(this.#stream);
    const phase = typeof status === 'string' ? status : status.phase;
    say(this.#message, WORDS[phase] ?? '');
    setTimeout(() => this.start(), this.#backoff.next());
  }
}
