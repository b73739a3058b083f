/** How the server is: model, device, memory, queue, speed. */
import { html, nothing, render, type TemplateResult } from "lit-html";
import type { Api } from "./api.ts";
import { bar } from "./bar.ts";

/** The response of `GET /v1/status` (src/server/status.ts), as far as it is shown. */
interface Status {
  readonly state: "loading" | "ready" | "failed";
  readonly reason?: string;
  readonly model: string | null;
  readonly draft?: string;
  readonly warning?: string;
  readonly context_length?: number;
  readonly device: string | null;
  readonly memory: { readonly planned: number | null; readonly total: number | null };
  readonly load: {
    readonly running: number;
    readonly waiting: number;
    readonly passes: number;
    readonly requests_per_pass: number;
    readonly most_requests_per_pass: number;
    readonly pages: { readonly total: number; readonly used: number; readonly shared: number };
  };
  readonly answers: number;
  readonly tokens_per_second: number;
}

/** Milliseconds between two looks: while it loads, while it is looked at, and else. */
const PACES = { loading: 1000, open: 2000, else: 30_000 } as const;

/** The status, drawn into its host. */
export class StatusView {
  readonly #host: HTMLElement;
  readonly #api: Api;
  #status: Status | undefined;
  #open = false;
  #timer: number | undefined;

  constructor(host: HTMLElement, api: Api) {
    this.#host = host;
    this.#api = api;
    document.addEventListener("visibilitychange", () => document.hidden || this.look());
    // What lies over the page goes when one turns to something else.
    const details = () => host.querySelector("details");
    document.addEventListener("pointerdown", (event) => {
      if (!host.contains(event.target as Node)) details()?.removeAttribute("open");
    });
    host.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !this.#open) return;
      event.preventDefault();
      details()?.removeAttribute("open");
      host.querySelector("summary")?.focus();
    });
  }

  /** Asks the server now, and again after a while. */
  async look(): Promise<void> {
    clearTimeout(this.#timer);
    try {
      this.#status = await this.#api.get<Status>("/v1/status");
    } catch {
      // Whoever asks for an answer is told; here the figures are gone.
      this.#status = undefined;
    }
    this.#draw();
    if (document.hidden) return;
    const pace = this.#status?.state === "loading" ? "loading" : this.#open ? "open" : "else";
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.look(), PACES[pace]);
  }

  #draw(): void {
    const status = this.#status;
    const state = status?.state ?? "unknown";
    const words = {
      ready: status?.model,
      loading: "loading the model",
      failed: "the model failed",
      unknown: "no status",
    }[state];
    const toggled = (event: Event) => {
      this.#open = (event.target as HTMLDetailsElement).open;
      if (this.#open) this.look();
    };
    render(
      html`
        <details class="status" @toggle=${toggled}>
          <summary><span class="dot ${state}" aria-hidden="true"></span><span class="status-name">${words}</span></summary>
          <div class="status-card card">${status ? facts(status) : html`<p class="hint">The server
          does not tell.</p>`}</div>
        </details>
      `,
      this.#host,
    );
  }
}

function facts(status: Status): TemplateResult {
  const { memory, load, tokens_per_second: speed } = status;
  const { pages } = load;
  const row = (name: string, value: unknown) =>
    html`
      <div>
        <dt>${name}</dt>
        <dd>${value}</dd>
      </div>
    `;
  return html`${status.reason ? html`<p class="problem">${status.reason}</p>` : nothing}
    <dl>
      ${row("Model", status.model ?? "not loaded")}
      ${status.draft ? row("Draft", status.draft) : nothing}
      ${status.context_length ? row("Context", `${status.context_length} tokens`) : nothing}
      ${row("Device", status.device ?? "not known yet")}
      ${row("GPU memory", memoryOf(memory))}
      ${row("Queue", `${load.running} running, ${load.waiting} waiting`)}
      ${load.passes > 0 ? row("Forward passes", passesOf(load)) : nothing}
      ${
    pages.total > 0
      ? row(
        "Pages",
        html`${pages.used} of ${pages.total}, ${pages.shared} shared ${
          bar(pages.used / pages.total)
        }`,
      )
      : nothing
  }
      ${
    row(
      "Speed",
      speed > 0 ? `${speed.toFixed(1)} tokens/s in ${status.answers} answers` : "no answer yet",
    )
  }
    </dl>
    ${status.warning ? html`<p class="hint">${status.warning}</p>` : nothing}
    <p class="hint"><a href="docs">All routes and fields</a></p>`;
}

function passesOf(load: Status["load"]): string {
  const { requests_per_pass: mean, most_requests_per_pass: most } = load;
  return `${mean.toFixed(1)} requests each, at most ${most}`;
}

function memoryOf({ planned, total }: Status["memory"]): TemplateResult | string {
  if (planned === null) return "not known";
  if (total === null) return `${size(planned)} planned`;
  return html`${size(planned)} planned of ${size(total)} ${bar(planned / total)}`;
}

/** Bytes with a binary unit. */
function size(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  return `${(bytes / 1024 ** power).toFixed(power > 0 ? 1 : 0)} ${units[power]}`;
}
