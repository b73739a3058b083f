/** The page's keyboard shortcuts, and the dialog that lists them. */
import { html, render } from "lit-html";

/** What is done with keys that the page does not bind itself. */
const OTHERS: readonly (readonly [keys: string, what: string])[] = [
  ["Enter", "send; Shift+Enter begins a new line"],
  ["Ctrl+Enter", "fill, race or ask, in the views beside the chat; on a Mac ⌘ for Ctrl"],
  ["Ctrl+M", "mask the words that are selected; Ctrl+Z outside of a field undoes a fill"],
  ["← →", "the token beside, or the step beside on the slider"],
  ["Enter on a token", "its card: step, probability, alternatives"],
];

/** A shortcut. */
export interface Shortcut {
  /** As `KeyboardEvent.key` has it. */
  readonly key: string;
  readonly alt?: boolean;
  readonly what: string;
  readonly run: () => void;
}

/** Binds shortcuts. Those that are letters do nothing while text is written. */
export function bindShortcuts(host: HTMLElement, shortcuts: readonly Shortcut[]): () => void {
  const dialog = document.createElement("dialog");
  dialog.className = "shortcuts card";
  dialog.setAttribute("aria-labelledby", "shortcuts-title");
  host.append(dialog);
  const open = () => dialog.showModal();
  const all = [...shortcuts, { key: "?", what: "these shortcuts", run: open }];
  const rows = [...all.map((one) => [nameOf(one), one.what] as const), ...OTHERS];
  render(
    html`
      <header><h2 id="shortcuts-title">Keyboard</h2>
            <button type="button" class="button quiet" @click=${() =>
              dialog.close()}>Close</button></header>
      <dl>${rows.map(([keys, what]) =>
        html`
          <div>
            <dt><kbd>${keys}</kbd></dt>
            <dd>${what}</dd>
          </div>
        `
      )}</dl>
    `,
    dialog,
  );
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey) return;
    if (document.querySelector("dialog[open]")) return;
    const writes = (event.target as HTMLElement).matches(
      "textarea, select, input:not([type=range])",
    );
    const found = all.find(({ key, alt = false }) => key === event.key && alt === event.altKey);
    if (!found || (writes && found.key.length === 1 && !found.alt)) return;
    event.preventDefault();
    found.run();
  });
  return open;
}

function nameOf({ key, alt }: Shortcut): string {
  const name = key === "Escape" ? "Esc" : key.length === 1 && alt ? key.toUpperCase() : key;
  return alt ? `Alt+${name}` : name;
}
