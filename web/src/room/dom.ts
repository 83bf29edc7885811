/** Making elements, without a framework. */

type Attributes = Record<string, string | number | boolean | undefined>;

/** An element with attributes (`false` and `undefined` leave one out) and children. */
export function make<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...children);
  return element;
}

/** A button with a handler. */
export function button(label: string | Node, attributes: Attributes, onClick: (event: MouseEvent) => void): HTMLButtonElement {
  const made = make('button', { type: 'button', ...attributes }, label);
  made.addEventListener('click', onClick);
  return made;
}

const SVG = 'http://www.w3.org/2000/svg';

/** An element of SVG. */
export function draw(tag: string, attributes: Attributes, ...children: Node[]): SVGElement {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

const PATHS = {
  send: 'M4 12 20 4l-5 16-4-7z',
  chat: 'M4 5h16v11H9l-5 4z',
  poll: 'M5 20v-8M12 20V4M19 20v-5',
  question: 'M9 9a3 3 0 1 1 4 2.8c-.7.4-1 .9-1 1.7M12 17.5v.1M12 3a9 9 0 1 1 0 18 9 9 0 0 1 0-18z',
  up: 'M6 14l6-6 6 6',
  down: 'M12 5v14m-6-6 6 6 6-6',
  reply: 'M10 8 5 12l5 4M5 12h9a5 5 0 0 1 5 5v1',
  flag: 'M6 21V4h11l-2 4 2 4H6',
  close: 'M6 6l12 12M18 6 6 18',
  pin: 'M12 21v-6M8 4h8l-1 6 3 5H6l3-5z',
  check: 'M5 12.5 10 17 19 7',
  star: 'M12 4l2.4 5.2 5.6.6-4.2 3.8 1.2 5.6L12 16.4 7 19.2l1.2-5.6L4 9.800l5.600-.6z',
  horn: 'M4 10v4h3l9 4V6L7 10zM19 9.500v5',
  health: 'M3 12h4l3-7 4 14 3-7h4',
  mute: 'M5 5l14 14M9 5.500A3.500 3.500 0 0 1 15.500 7v4M6 11a6 6 0 0 0 9 5M12 18v3',
  ban: 'M12 3a9 9 0 1 1 0 18 9 9 0 0 1 0-18zM6 6l12 12',
} as const;

export type Icon = keyof typeof PATHS;

export function icon(name: Icon): SVGElement {
  return draw('svg', { viewBox: '0 0 24 24', 'aria-hidden': 'true' }, draw('path', { d: PATHS[name] }));
}

/** Writes only what changes, so that a screen reader says it once. */
export function say(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** `1:05`, or `12 s` below a minute. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.ceil(seconds));
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}

/** `1 vote`, `2 votes`. */
export function count(number: number, noun: string): string {
  return `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`;
}
