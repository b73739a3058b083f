/** The field for an API key, shown where the server asks for one. */
import { html, nothing, render } from "lit-html";
import type { Api } from "./api.ts";

/** Shows the field in its host whenever the server asks for a key. */
export function watchForKey(host: HTMLElement, api: Api, onKey: () => void): void {
  let wanted = false;
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    api.key = String(new FormData(event.currentTarget as HTMLFormElement).get("key")).trim();
    wanted = false;
    draw();
    onKey();
  };
  const draw = () =>
    render(
      wanted
        ? html`
          <form class="key-form" aria-label="API key" @submit=${submit}>
            <label for="key-field">This server asks for an API key.</label>
            <input class="field" id="key-field" name="key" type="password" autocomplete="off"
              required aria-describedby="key-hint">
            <button class="button primary">Use key</button>
            <p class="hint" id="key-hint">${api.key === ""
              ? "It is kept until this tab is closed."
              : "The last one was refused."}</p>
          </form>
        `
        : nothing,
      host,
    );
  api.onKeyWanted = () => {
    if (wanted) return;
    wanted = true;
    draw();
    host.querySelector("input")?.focus();
  };
}
