/** What the page gives to each of its views, which do not know each other. */
import type { Api, ApiRequest } from "./api.ts";
import type { SettingsStore } from "./settings.ts";
import type { ViewState } from "./share.ts";

export type { ViewState };

/** The page, as its views see it. */
export interface PageContext {
  readonly api: Api;
  readonly settings: SettingsStore;
  /** Has screen readers say a sentence, such as a finished answer. */
  announce(sentence: string): void;
  /** Shows a request as code, and as a link to this view that restores `state`. */
  share(request: ApiRequest, state: ViewState): void;
  /** Tells the page that an answer was finished, for its figures. */
  answered(): void;
}

/** A view that stands in its host. */
export interface View {
  /** Called when its tab is chosen. */
  shown?(): void;
  /** Does what a shortcut asks: "new", "stop" or "write". */
  command?(name: string): void;
  /** Puts back what a link holds. */
  restore?(state: ViewState): void;
}

/** Builds a view. The host is its own, and empty. */
export type MountView = (host: HTMLElement, context: PageContext) => View;
