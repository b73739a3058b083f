/** A request as code that makes it, and as a link that restores it. */
import type { ApiRequest } from "./api.ts";

/** How a request is written; the key is left out, and named where the server asks for one. */
export const LANGUAGES = {
  curl: asCurl,
  JavaScript: asJavaScript,
  Python: asPython,
} as const;

/** A request to a server. */
export interface SharedRequest extends ApiRequest {
  /** Where the server is, without a slash at the end. */
  readonly server: string;
  readonly asksKey: boolean;
}

function asCurl({ server, path, body, asksKey }: SharedRequest): string {
  const json = JSON.stringify(body, null, 2).replaceAll("'", "'\\''");
  return [
    `curl -N ${server}${path} \\`,
    "  -H 'Content-Type: application/json' \\",
    ...asksKey ? ['  -H "Authorization: Bearer $UNMASK_API_KEY" \\'] : [],
    `  -d '${json}'`,
  ].join("\n");
}

function asJavaScript({ server, path, body, asksKey }: SharedRequest): string {
  const key = asksKey ? "    Authorization: `Bearer ${process.env.UNMASK_API_KEY}`,\n" : "";
  return `const response = await fetch(${JSON.stringify(server + path)}, {
  method: "POST",
  headers: {
    "Content-Type": "application/json",
${key}  },
  body: JSON.stringify(${indented(JSON.stringify(body, null, 2), "  ")}),
});
for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
  console.log(part);
}`;
}

function asPython({ server, path, body, asksKey }: SharedRequest): string {
  const key = asksKey ? '    "Authorization": "Bearer " + os.environ["UNMASK_API_KEY"],\n' : "";
  return `import json${asksKey ? ", os" : ""}, urllib.request

body = ${python(body)}
headers = {
    "Content-Type": "application/json",
${key}}
request = urllib.request.Request(
    ${JSON.stringify(server + path)}, json.dumps(body).encode(), headers
)
with urllib.request.urlopen(request) as response:
    for line in response:
        print(line.decode(), end="")`;
}

function indented(text: string, by: string): string {
  return text.replaceAll("\n", `\n${by}`);
}

/** A JSON value as Python writes it: strings are alike. */
function python(value: unknown, by = ""): string {
  if (value === true) return "True";
  if (value === false) return "False";
  if (value === null) return "None";
  if (typeof value !== "object") return JSON.stringify(value);
  const inner = `${by}    `;
  const [open, close, parts] = Array.isArray(value)
    ? ["[", "]", value.map((one) => python(one, inner))]
    : [
      "{",
      "}",
      Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${python(one, inner)}`),
    ];
  if (parts.length === 0) return open + close;
  return `${open}\n${parts.map((part) => `${inner}${part},\n`).join("")}${by}${close}`;
}

/** What a link restores of a view: plain values that the view wrote itself. */
export type ViewState = Readonly<Record<string, unknown>>;

/** What a link restores. */
export interface Linked {
  /** Name of the tab. */
  readonly tab: string;
  readonly state: ViewState;
}

/** The fragment of a link: it never leaves the browser. */
export function fragmentOf(linked: Linked): string {
  const bytes = new TextEncoder().encode(JSON.stringify(linked));
  const binary = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return `#${btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "")}`;
}

/** What a fragment holds; undefined if it is none of {@linkcode fragmentOf}. */
export function linkedOf(fragment: string): Linked | undefined {
  try {
    const binary = atob(fragment.slice(1).replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0));
    const { tab, state } = JSON.parse(new TextDecoder().decode(bytes));
    return typeof tab === "string" && typeof state === "object" && state !== null
      ? { tab, state }
      : undefined;
  } catch {
    return undefined;
  }
}
