/** Small live charts in SVG. */

import { draw, make, say } from '../room/dom.ts';

/** Samples a chart shows: two minutes at one a second. */
const SAMPLES = 120;
const [WIDTH, HEIGHT] = [240, 48];

/** A number with its last two minutes. */
export class Tile {
  readonly element = make('div', { class: 'tile' });
  readonly #value = make('strong', {}, '–');
  readonly #note = make('span', { class: 'note' });
  readonly #line = draw('path', { class: 'line' });
  readonly #area = draw('path', { class: 'area' });
  readonly #least: number;
  #samples: (number | undefined)[] = [];

  /** `least` is what the scale reaches at the least, so that noise near nothing does not look like a storm. */
  constructor(label: string, least: number) {
    this.#least = least;
    const chart = draw('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' }, this.#area, this.#line);
    this.element.append(make('span', { class: 'label' }, label), this.#value, this.#note, chart);
  }

  /** Another sample; `level` colours it. */
  add(sample: number | undefined, text: string, note = '', level: 'good' | 'fair' | 'bad' = 'good'): void {
    this.#samples = [...this.#samples, sample].slice(-SAMPLES);
    say(this.#value, sample === undefined ? '–' : text);
    say(this.#note, note);
    this.element.dataset['level'] = level;
    this.#draw();
  }

  #draw(): void {
    const most = Math.max(this.#least, ...this.#samples.map((sample) => sample ?? 0)) * 1.15;
    const step = WIDTH / (SAMPLES - 1);
    const from = SAMPLES - this.#samples.length;
    const points = this.#samples
      .map((sample, index) => sample !== undefined && `${((from + index) * step).toFixed(1)} ${(HEIGHT - 2 - (sample / most) * (HEIGHT - 6)).toFixed(1)}`)
      .filter((point) => point !== false);
    const line = points.length > 1 ? `M${points.join('L')}` : '';
    this.#line.setAttribute('d', line);
    this.#area.setAttribute('d', line && `${line}L${WIDTH} ${HEIGHT}L${(from * step).toFixed(1)} ${HEIGHT}Z`);
  }
}

/** Where time goes: stages one after the other, each as wide as it takes. */
export class Stages {
  readonly element = make('div', { class: 'stages' });
  readonly #bar = make('div', { class: 'bar', 'aria-hidden': 'true' });
  readonly #list = make('dl');

  constructor() {
    this.element.append(this.#bar, this.#list);
  }

  /** Milliseconds of each stage; those unknown are left out. */
  show(stages: [name: string, ms: number | undefined][]): void {
    const known = stages.filter((stage): stage is [string, number] => stage[1] !== undefined && Number.isFinite(stage[1]));
    while (this.#bar.childElementCount < known.length) {
      this.#bar.append(make('i'));
      this.#list.append(make('div', {}, make('dt'), make('dd')));
    }
    while (this.#bar.childElementCount > known.length) {
      this.#bar.lastElementChild?.remove();
      this.#list.lastElementChild?.remove();
    }
    known.forEach(([name, ms], index) => {
      (this.#bar.children[index] as HTMLElement).style.flexGrow = String(Math.max(ms, 1));
      const [term, value] = this.#list.children[index]!.children;
      say(term!, name);
      say(value!, `${Math.round(ms).toLocaleString('en')} ms`);
    });
  }
}
