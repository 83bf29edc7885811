/** Tabs after the ARIA practices: one stop for the Tab key, arrows between them. */

import { icon, make, type Icon } from './dom.ts';

export interface Tab {
  id: string;
  label: string;
  icon: Icon;
  pane: HTMLElement;
}

export class Tabs {
  readonly element: HTMLElement;
  readonly #tabs: Map<string, { tab: Tab; button: HTMLButtonElement; badge: HTMLElement }>;
  readonly #changed: (id: string) => void;
  #chosen = '';

  constructor(label: string, tabs: Tab[], changed: (id: string) => void) {
    this.#changed = changed;
    this.element = make('div', { class: 'tabs', role: 'tablist', 'aria-label': label });
    this.#tabs = new Map(tabs.map((tab) => [tab.id, this.#make(tab)]));
    this.element.append(...[...this.#tabs.values()].map(({ button }) => button));
    this.element.addEventListener('keydown', (event) => this.#onKey(event));
    this.#show(tabs[0]!.id);
  }

  get chosen(): string {
    return this.#chosen;
  }

  choose(id: string): void {
    this.#show(id);
    this.#changed(id);
  }

  #show(id: string): void {
    this.#chosen = id;
    for (const [each, { tab, button }] of this.#tabs) {
      const chosen = each === id;
      button.setAttribute('aria-selected', String(chosen));
      button.tabIndex = chosen ? 0 : -1;
      tab.pane.hidden = !chosen;
    }
  }

  pane(id: string): HTMLElement {
    return this.#tabs.get(id)!.tab.pane;
  }

  /** A number beside the label; 0 for none. */
  badge(id: string, number: number, what: string): void {
    const { badge, button, tab } = this.#tabs.get(id)!;
    badge.textContent = number > 99 ? '99+' : number > 0 ? String(number) : '';
    button.setAttribute('aria-label', number > 0 ? `${tab.label}, ${number} ${what}` : tab.label);
  }

  #make(tab: Tab): { tab: Tab; button: HTMLButtonElement; badge: HTMLElement } {
    tab.pane.id = `pane-${tab.id}`;
    tab.pane.setAttribute('role', 'tabpanel');
    tab.pane.setAttribute('aria-labelledby', `tab-${tab.id}`);
    const badge = make('span', { class: 'count' });
    const button = make('button', { type: 'button', role: 'tab', id: `tab-${tab.id}`, 'aria-controls': tab.pane.id }, icon(tab.icon), tab.label, badge);
    button.addEventListener('click', () => this.choose(tab.id));
    return { tab, button, badge };
  }

  #onKey(event: KeyboardEvent): void {
    const ids = [...this.#tabs.keys()];
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    const next = ids[(ids.indexOf(this.#chosen) + step + ids.length) % ids.length]!;
    this.choose(next);
    this.#tabs.get(next)?.button.focus();
    event.preventDefault();
  }
}
