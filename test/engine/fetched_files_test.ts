import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "node:path";
import { type FetchedFile, fetchFiles } from "../../src/engine/fetched_files.ts";

const CONTENT: Readonly<Record<string, Uint8Array<ArrayBuffer>>> = {
  "config.json": new TextEncoder().encode('{"a": 1}'),
  "model/weights.bin": crypto.getRandomValues(new Uint8Array(50_000)),
};

const FILES: readonly FetchedFile[] = await Promise.all(
  Object.entries(CONTENT).map(async ([name, content]) => {
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
    return { name, bytes: content.length, sha256: hash.toHex() };
  }),
);

interface Place {
  readonly from: URL;
  readonly folder: string;
  /** Files that were asked for, in order. */
  readonly asked: string[];
  /** What the server gives in place of a file. */
  readonly instead: Record<string, () => Response | Promise<Response>>;
}

async function withServer(body: (place: Place) => Promise<void>): Promise<void> {
  const folder = Deno.makeTempDirSync({ prefix: "unmask_fetched_" });
  const asked: string[] = [];
  const instead: Place["instead"] = {};
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    const name = new URL(request.url).pathname.slice("/files/".length);
    asked.push(name);
    return instead[name]?.() ?? new Response(CONTENT[name]);
  });
  try {
    const from = new URL(`http://127.0.0.1:${server.addr.port}/files/`);
    await body({ from, folder, asked, instead });
  } finally {
    await server.shutdown();
    Deno.removeSync(folder, { recursive: true });
  }
}

function filesBelow(folder: string): string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) =>
    isDirectory ? filesBelow(join(folder, name)).map((inner) => `${name}/${inner}`) : [name]
  ).sort();
}

const ALL = ["config.json", "fetching.lock", "model/weights.bin"];

function assertWhole(folder: string): void {
  assertEquals(filesBelow(folder), ALL);
  for (const [name, content] of Object.entries(CONTENT)) {
    assertEquals(Deno.readFileSync(join(folder, name)), content);
  }
}

Deno.test("files are fetched once, also by several who ask at once", () =>
  withServer(async ({ from, folder, asked, instead }) => {
    const below = join(folder, "new", "folder");
    instead["config.json"] = async () => {
      await new Promise((resolve) => setTimeout(resolve, 50));
      return new Response(CONTENT["config.json"]);
    };
    await Promise.all(Array.from({ length: 4 }, () => fetchFiles(FILES, from, below)));
    assertWhole(below);
    await fetchFiles(FILES, from, below);
    assertEquals(asked, ["config.json", "model/weights.bin"]);
  }));

Deno.test("a file of another length is fetched again, and what an interrupted run left is replaced", () =>
  withServer(async ({ from, folder, asked }) => {
    await fetchFiles(FILES, from, folder);
    Deno.truncateSync(join(folder, "model/weights.bin"), 49_999);
    Deno.writeTextFileSync(join(folder, "model/weights.bin.part"), "half");
    asked.length = 0;
    await fetchFiles(FILES, from, folder);
    assertEquals(asked, ["model/weights.bin"]);
    assertWhole(folder);
  }));

Deno.test("what is not the file leaves nothing of it, is named, and can be tried again", () =>
  withServer(async ({ from, folder, instead }) => {
    const name = "model/weights.bin";
    const changed = CONTENT[name].slice();
    changed[7] ^= 1;
    const wrong: readonly (readonly [() => Response, string])[] = [
      [() => new Response("not here", { status: 404 }), "the server answered 404"],
      [() => new Response(changed), "50000 bytes with SHA-256"],
      [() => new Response(CONTENT[name].subarray(0, 100)), "100 bytes with SHA-256"],
      [
        () => {
          // Breaks off in the middle.
          const body = new ReadableStream({
            pull(controller) {
              controller.enqueue(CONTENT[name].slice(0, 100));
              controller.close();
            },
          });
          return new Response(body, { headers: { "content-length": "50000" } });
        },
        "the file cannot be fetched",
      ],
    ];
    for (const [response, message] of wrong) {
      instead[name] = response;
      const error = await assertRejects(() => fetchFiles(FILES, from, folder), Error, message);
      assert(error.message.startsWith(`${from}${name}: `), error.message);
      assertEquals(filesBelow(folder), ["config.json", "fetching.lock"]);
    }
    delete instead[name];
    await fetchFiles(FILES, from, folder);
    assertWhole(folder);
  }));

Deno.test("a server that is not there is named", async () => {
  const folder = Deno.makeTempDirSync({ prefix: "unmask_fetched_" });
  try {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const from = new URL(`http://127.0.0.1:${listener.addr.port}/`);
    listener.close();
    const message = `${from}config.json: the file cannot be fetched`;
    await assertRejects(() => fetchFiles(FILES, from, folder), Error, message);
    assertEquals(filesBelow(folder), ["fetching.lock"]);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});
