/** The page: builds what its views share, and shows the view that the address names. */
import { Api } from "./api.ts";
import type { PageContext } from "./context.ts";
import { SettingsStore } from "./settings.ts";
import { type Tab, Tabs } from "./tabs.ts";

const TABS: Readonly<Record<string, Tab>> = {
  chat: { label: "Chat", load: async () => (await import("./chat_view.ts")).mountChat },
};

const byId = (id: string) => document.getElementById(id)!;

const api = new Api();
const settings = new SettingsStore();
const contextOf = (_name: string): PageContext => ({
  api,
  settings,
  announce: (sentence) => byId("announcer").textContent = sentence,
  share: () => {},
  answered: () => {},
});

const tabs = new Tabs({ list: byId("tabs"), main: byId("main") }, TABS, contextOf);
await tabs.choose("chat");
