/** The files of the page at `/`, as a browser gets them. They are part of the module graph, as text. */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { stripTypeScriptTypes } from "node:module";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import litHtml from "lit-html" with { type: "text" };
import indexHtml from "./page/index.html" with { type: "text" };
import canvasCss from "./page/canvas.css" with { type: "text" };
import chatCss from "./page/chat.css" with { type: "text" };
import pageCss from "./page/page.css" with { type: "text" };
import panelsCss from "./page/panels.css" with { type: "text" };
import viewsCss from "./page/views.css" with { type: "text" };
import api from "./page/api.ts" with { type: "text" };
import ask from "./page/ask.ts" with { type: "text" };
import bar from "./page/bar.ts" with { type: "text" };
import canvas from "./page/canvas.ts" with { type: "text" };
import chatTurn from "./page/chat_turn.ts" with { type: "text" };
import chatView from "./page/chat_view.ts" with { type: "text" };
import constraintView from "./page/constraint_view.ts" with { type: "text" };
import context from "./page/context.ts" with { type: "text" };
import conversationList from "./page/conversation_list.ts" with { type: "text" };
import conversations from "./page/conversations.ts" with { type: "text" };
import differences from "./page/differences.ts" with { type: "text" };
import edit from "./page/edit.ts" with { type: "text" };
import emptyState from "./page/empty_state.ts" with { type: "text" };
import figures from "./page/figures.ts" with { type: "text" };
import fill from "./page/fill.ts" with { type: "text" };
import forms from "./page/forms.ts" with { type: "text" };
import infillText from "./page/infill_text.ts" with { type: "text" };
import infillView from "./page/infill_view.ts" with { type: "text" };
import keyField from "./page/key_field.ts" with { type: "text" };
import page from "./page/page.ts" with { type: "text" };
import raceLane from "./page/race_lane.ts" with { type: "text" };
import raceView from "./page/race_view.ts" with { type: "text" };
import replay from "./page/replay.ts" with { type: "text" };
import scoreboard from "./page/scoreboard.ts" with { type: "text" };
import scrubber from "./page/scrubber.ts" with { type: "text" };
import settings from "./page/settings.ts" with { type: "text" };
import settingsPanel from "./page/settings_panel.ts" with { type: "text" };
import share from "./page/share.ts" with { type: "text" };
import shareDialog from "./page/share_dialog.ts" with { type: "text" };
import shortcuts from "./page/shortcuts.ts" with { type: "text" };
import status from "./page/status.ts" with { type: "text" };
import tabs from "./page/tabs.ts" with { type: "text" };
import tokenCard from "./page/token_card.ts" with { type: "text" };
import trace from "./page/trace.ts" with { type: "text" };
import work from "./page/work.ts" with { type: "text" };

/** The page's own files, by the names under which it asks for them. */
const SOURCES: Readonly<Record<string, string>> = {
  "index.html": indexHtml,
  "canvas.css": canvasCss,
  "chat.css": chatCss,
  "page.css": pageCss,
  "panels.css": panelsCss,
  "views.css": viewsCss,
  "lit_html.js": litHtml,
  "api.ts": api,
  "ask.ts": ask,
  "bar.ts": bar,
  "canvas.ts": canvas,
  "chat_turn.ts": chatTurn,
  "chat_view.ts": chatView,
  "constraint_view.ts": constraintView,
  "context.ts": context,
  "conversation_list.ts": conversationList,
  "conversations.ts": conversations,
  "differences.ts": differences,
  "edit.ts": edit,
  "empty_state.ts": emptyState,
  "figures.ts": figures,
  "fill.ts": fill,
  "forms.ts": forms,
  "infill_text.ts": infillText,
  "infill_view.ts": infillView,
  "key_field.ts": keyField,
  "page.ts": page,
  "race_lane.ts": raceLane,
  "race_view.ts": raceView,
  "replay.ts": replay,
  "scoreboard.ts": scoreboard,
  "scrubber.ts": scrubber,
  "settings.ts": settings,
  "settings_panel.ts": settingsPanel,
  "share.ts": share,
  "share_dialog.ts": shareDialog,
  "shortcuts.ts": shortcuts,
  "status.ts": status,
  "tabs.ts": tabs,
  "token_card.ts": tokenCard,
  "trace.ts": trace,
  "work.ts": work,
};

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  ts: "text/javascript; charset=utf-8",
};

/** A file as it is sent. */
export interface PageFile {
  readonly type: string;
  readonly etag: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly gzipped: Uint8Array<ArrayBuffer>;
}

const made = new Map<string, Promise<PageFile>>();

/** The file of a name; undefined if the page has none. It is made once, when first asked for. */
export function pageFile(name: string): Promise<PageFile> | undefined {
  if (!Object.hasOwn(SOURCES, name)) return undefined;
  let file = made.get(name);
  if (!file) made.set(name, file = make(name));
  return file;
}

async function make(name: string): Promise<PageFile> {
  const bytes = Buffer.from(inBrowser(name, SOURCES[name]));
  return {
    type: TYPES[name.slice(name.lastIndexOf(".") + 1)],
    etag: `"${createHash("sha256").update(bytes).digest("hex").slice(0, 32)}"`,
    bytes: Uint8Array.from(bytes),
    gzipped: Uint8Array.from(await promisify(gzip)(bytes, { level: 9 })),
  };
}

/** What is first shown; other views are loaded when they are chosen. */
const FIRST = ["page.ts", "chat_view.ts"];

/** The modules of {@linkcode FIRST}, so that a browser asks for them all at once. */
function firstModules(): readonly string[] {
  const found = new Set(FIRST);
  // A set that grows is walked to its new end.
  for (const name of found) {
    const text = inBrowser(name, SOURCES[name]);
    for (const [, imported] of text.matchAll(/ from "\.\/(\w+\.\w+)"/g)) found.add(imported);
  }
  return [...found];
}

/** Types mean nothing to a browser, nor do the names of packages, nor maps that are not sent. */
function inBrowser(name: string, text: string): string {
  if (name.endsWith(".ts")) {
    return stripTypeScriptTypes(text).replace(/ from "lit-html"/, ' from "./lit_html.js"');
  }
  if (name === "index.html") {
    const links = firstModules().map((file) => `<link rel="modulepreload" href="page/${file}">`);
    return text.replace("</head>", `${links.join("")}</head>`);
  }
  return name.endsWith(".js") ? text.replace(/^\/\/# sourceMappingURL=.*$/m, "") : text;
}
