/** The page's tabs: each loads its view when it is first chosen. */
import { html, render } from "lit-html";
import type { MountView, PageContext, View, ViewState } from "./context.ts";

/** A tab. */
export interface Tab {
  readonly label: string;
  readonly load: () => Promise<MountView>;
}

/** The tabs in one list, with the panel of each. */
export class Tabs {
  readonly #list: HTMLElement;
  readonly #main: HTMLElement;
  readonly #tabs: Readonly<Record<string, Tab>>;
  readonly #contextOf: (name: string) => PageContext;
  readonly #views = new Map<
    string,
    { readonly panel: HTMLElement; readonly view: Promise<View> }
  >();
  #chosen = "";

  /** @param contextOf the context of a view, by its tab's name */
  constructor(
    { list, main }: { readonly list: HTMLElement; readonly main: HTMLElement },
    tabs: Readonly<Record<string, Tab>>,
    contextOf: (name: string) => PageContext,
  ) {
    this.#list = list;
    this.#main = main;
    this.#tabs = tabs;
    this.#contextOf = contextOf;
    for (const name of Object.keys(tabs)) {
      const panel = document.createElement("section");
      Object.assign(panel, { id: `panel-${name}`, className: `panel ${name}`, hidden: true });
      panel.setAttribute("role", "tabpanel");
      panel.setAttribute("aria-labelledby", `tab-${name}`);
      main.append(panel);
    }
  }

  /** Name of the tab that is chosen; empty before the first. */
  get chosen(): string {
    return this.#chosen;
  }

  /** The view that is shown. */
  view(): Promise<View> | undefined {
    return this.#views.get(this.#chosen)?.view;
  }

  /** Shows a view, and puts back what a link holds of it. */
  async choose(name: string, state?: ViewState): Promise<void> {
    this.#chosen = name;
    for (const panel of this.#main.children) {
      (panel as HTMLElement).hidden = panel.id !== `panel-${name}`;
    }
    this.#draw();
    const known = this.#views.get(name) ?? this.#mount(name);
    const view = await known.view;
    if (state) view.restore?.(state);
    view.shown?.();
  }

  #mount(name: string) {
    const panel = this.#main.querySelector<HTMLElement>(`#panel-${name}`)!;
    const view = this.#tabs[name].load().then((mount) => mount(panel, this.#contextOf(name)));
    this.#views.set(name, { panel, view });
    return { panel, view };
  }

  #draw(): void {
    const names = Object.keys(this.#tabs);
    const keyed = (event: KeyboardEvent) => {
      const at = names.indexOf(this.#chosen);
      const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: -1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      const name = names.at(to % names.length)!;
      this.choose(name);
      this.#list.querySelector<HTMLElement>(`#tab-${name}`)?.focus();
    };
    render(
      names.map((name) =>
        html`
          <button type="button" role="tab" id="tab-${name}" aria-controls="panel-${name}"
            aria-selected=${name === this.#chosen} tabindex=${name === this.#chosen ? 0 : -1}
            @click=${() => this.choose(name)} @keydown=${keyed}>${this.#tabs[name].label}</button>
        `
      ),
      this.#list,
    );
  }
}
