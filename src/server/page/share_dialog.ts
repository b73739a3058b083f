/** The dialog that shows a request as code, and copies it or its link. */
import { html, render } from "lit-html";
import { fragmentOf, LANGUAGES, type Linked, type SharedRequest } from "./share.ts";

type Language = keyof typeof LANGUAGES;

/** A dialog, which is built once. */
export class ShareDialog {
  readonly #dialog = document.createElement("dialog");
  readonly #announce: (sentence: string) => void;
  #language: Language = "curl";
  #copied = "";

  constructor(host: HTMLElement, announce: (sentence: string) => void) {
    this.#announce = announce;
    this.#dialog.className = "share card";
    this.#dialog.setAttribute("aria-labelledby", "share-title");
    host.append(this.#dialog);
  }

  /** Opens it for a request. */
  open(request: SharedRequest, linked: Linked): void {
    this.#copied = "";
    this.#draw(request, linked);
    this.#dialog.showModal();
  }

  #draw(request: SharedRequest, linked: Linked): void {
    const code = LANGUAGES[this.#language](request);
    const link = `${location.href.split("#")[0]}${fragmentOf(linked)}`;
    const choose = (language: Language) => {
      this.#language = language;
      this.#copied = "";
      this.#draw(request, linked);
    };
    const copy = async (what: string, text: string) => {
      this.#copied = await copied(text) ? `${what} copied.` : "This browser refuses to copy.";
      this.#announce(this.#copied);
      this.#draw(request, linked);
    };
    render(
      html`
        <header>
          <h2 id="share-title">This very request</h2>
          <button type="button" class="button quiet" @click=${() =>
            this.#dialog.close()}>Close</button>
        </header>
        <div class="choices" role="group" aria-label="Language">${Object.keys(LANGUAGES).map((
          language,
        ) =>
          html`
            <button type="button" class="button" aria-pressed=${language === this.#language}
              @click=${() => choose(language as Language)}>${language}</button>
          `
        )}</div>
        <pre tabindex="0" aria-label="The request in ${this.#language}"><code>${code}</code></pre>
        <footer>
          <button type="button" class="button primary"
            @click=${() => copy(this.#language, code)}>Copy ${this.#language}</button>
          <button type="button" class="button" @click=${() =>
            copy("The link", link)}>Copy link</button>
          <span class="hint">${this.#copied || "The link restores this conversation here."}</span>
        </footer>
      `,
      this.#dialog,
    );
  }
}

/** Whether a text could be put into the clipboard: over plain HTTP, only on this machine. */
async function copied(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copiedBySelection(text);
  }
}

function copiedBySelection(text: string): boolean {
  const field = document.createElement("textarea");
  field.value = text;
  (document.querySelector("dialog[open]") ?? document.body).append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  return done;
}
