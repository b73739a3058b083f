/** The page: builds what its views share, and shows the view that the address names. */
import { Api } from "./api.ts";
import type { PageContext } from "./context.ts";
import { watchForKey } from "./key_field.ts";
import { SettingsStore } from "./settings.ts";
import { linkedOf } from "./share.ts";
import { ShareDialog } from "./share_dialog.ts";
import { bindShortcuts } from "./shortcuts.ts";
import { StatusView } from "./status.ts";
import { type Tab, Tabs } from "./tabs.ts";

const TABS: Readonly<Record<string, Tab>> = {
  chat: { label: "Chat", load: async () => (await import("./chat_view.ts")).mountChat },
  infill: {
    label: "Infill",
    load: async () => (await import("./infill_view.ts")).mountInfill,
  },
  race: { label: "Race", load: async () => (await import("./race_view.ts")).mountRace },
  constraint: {
    label: "Constraint",
    load: async () => (await import("./constraint_view.ts")).mountConstraint,
  },
};

const byId = (id: string) => document.getElementById(id)!;

const api = new Api();
const settings = new SettingsStore();
const announce = (sentence: string) => byId("announcer").textContent = sentence;
const status = new StatusView(byId("status"), api);
const dialog = new ShareDialog(byId("dialogs"), announce);
const server = location.href.split(/[?#]/)[0].replace(/\/$/, "");
const contextOf = (tab: string): PageContext => ({
  api,
  settings,
  announce,
  share: (request, state) =>
    dialog.open({ ...request, server, asksKey: api.key !== "" }, { tab, state }),
  answered: () => void status.look(),
});

const tabs = new Tabs({ list: byId("tabs"), main: byId("main") }, TABS, contextOf);
const command = async (name: string) => (await tabs.view())?.command?.(name);
const openShortcuts = bindShortcuts(byId("dialogs"), [
  { key: "/", what: "write", run: () => command("write") },
  { key: "n", alt: true, what: "new conversation", run: () => command("new") },
  { key: "Escape", what: "stop the answer, or close what is open", run: () => command("stop") },
]);
byId("shortcuts").addEventListener("click", openShortcuts);
watchForKey(byId("key"), api, () => status.look());

/** Shows what the address holds. The fragment then goes: a reload shows what came of it. */
async function follow(): Promise<void> {
  const linked = linkedOf(location.hash);
  const known = linked && Object.hasOwn(TABS, linked.tab);
  if (location.hash.length > 1) history.replaceState(null, "", location.href.split("#")[0]);
  await tabs.choose(known ? linked.tab : tabs.chosen || "chat", known ? linked.state : undefined);
}

addEventListener("hashchange", follow);
status.look();
await follow();
