/** Pulls from a server that speaks the hub's API. */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { join } from "node:path";
import { etagOf, type HubServer, TOKEN } from "./hub_server.ts";
import { COMMIT, hubServer, SHARDED, sharded, WANTED } from "./hub_model.ts";
import { missingFiles } from "../../src/weights/hub/cache.ts";
import { planPull, pull, type PullOptions } from "../../src/weights/hub/pull.ts";
import { type Asking, HubError } from "../../src/weights/hub/requests.ts";
import { lockRepository } from "../../src/weights/hub/snapshot.ts";

/** Pieces small enough for several of each shard. */
const PIECE = 100_000;

/** A server and an empty cache. */
async function withHub(test: (hub: HubServer, cache: string) => Promise<void>): Promise<void> {
  await using hub = hubServer();
  const cache = await Deno.makeTempDir({ prefix: "unmask_hub_" });
  try {
    await test(hub, cache);
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
}

function asking(hub: HubServer, more: Partial<Asking> = {}): Asking {
  return { endpoint: hub.url, signal: new AbortController().signal, firstWait: 1, ...more };
}

async function pullFrom(
  ask: Asking,
  cache: string,
  revision = "main",
  options: PullOptions = {},
): Promise<{ dir: string; fetched: number }> {
  const plan = await planPull(ask, cache, SHARDED, revision);
  const fetched = await pull(ask, plan, { pieceBytes: PIECE, ...options });
  return { dir: plan.dir, fetched };
}

const folderOf = (cache: string) => join(cache, "models--some-org--sharded.model");

/** Every file of a snapshot is the server's, byte for byte. */
function checkSnapshot(dir: string): void {
  assertEquals([...Deno.readDirSync(dir)].map(({ name }) => name).sort(), [...WANTED].sort());
  for (const name of WANTED) {
    const content = Deno.readFileSync(join(dir, name));
    const large = sharded.files[name].large;
    assertEquals(etagOf({ content, large }), etagOf(sharded.files[name]), name);
  }
}

/** All paths below a folder, links with what they say. */
function pathsBelow(dir: string, prefix = ""): string[] {
  return [...Deno.readDirSync(dir)].flatMap(({ name, isDirectory, isSymlink }) => {
    const path = join(dir, name);
    if (isDirectory) return pathsBelow(path, `${prefix}${name}/`);
    return `${prefix}${name}${isSymlink ? ` -> ${Deno.readLinkSync(path)}` : ""}`;
  }).sort();
}

Deno.test("a pull fetches what a model needs, into the layout of the hub's tools", async () => {
  await withHub(async (hub, cache) => {
    const { dir, fetched } = await pullFrom(asking(hub), cache);
    assertEquals(dir, join(folderOf(cache), "snapshots", COMMIT));
    checkSnapshot(dir);
    const blobs = new Set(WANTED.map((name) => etagOf(sharded.files[name])));
    assertEquals(
      pathsBelow(folderOf(cache)),
      [
        ...[...blobs].map((etag) => `blobs/${etag}`),
        "refs/main",
        ...WANTED.map((name) =>
          `snapshots/${COMMIT}/${name} -> ../../blobs/${etagOf(sharded.files[name])}`
        ),
      ].sort(),
    );
    assertEquals(await Deno.readTextFile(join(folderOf(cache), "refs/main")), COMMIT);
    // Two files are "{}": one blob.
    assertEquals(blobs.size, WANTED.length - 1);
    const sizes = new Map(
      WANTED.map((name) => [etagOf(sharded.files[name]), sharded.files[name].content.length]),
    );
    assertEquals(fetched, [...sizes.values()].reduce((a, b) => a + b));
    const wanted = hub.asked.filter(({ where }) => where === "elsewhere");
    assert(wanted.every(({ path }) => WANTED.some((name) => path.includes(name))));
    // Nothing is fetched again, whatever names the commit.
    hub.asked.length = 0;
    for (const revision of ["main", "v1.0", "refs/pr/1", COMMIT]) {
      assertEquals((await pullFrom(asking(hub), cache, revision)).fetched, 0);
    }
    assertEquals(hub.asked.filter(({ where }) => where === "elsewhere"), []);
    assertEquals(
      pathsBelow(join(folderOf(cache), "refs")),
      ["main", "refs/pr/1", "v1.0"],
    );
  });
});

Deno.test("50 connections cut at any byte: the files are right in the end", async () => {
  await withHub(async (hub, cache) => {
    let cuts = 0;
    hub.cut = (bytes) =>
      bytes > 1000 && cuts++ < 50 ? Math.floor(Math.random() * bytes) : undefined;
    const { dir } = await pullFrom(asking(hub, { tries: 50 }), cache);
    assert(cuts > 50, `${cuts} of 50 cuts`);
    checkSnapshot(dir);
    assert(
      hub.asked.some(({ range }) => range !== null && !/^bytes=(0|\d+00000)-/.test(range)),
      "goes on within a piece",
    );
  });
});

Deno.test("stopped 50 times at any byte, a pull goes on; no half file is ever in a snapshot", async () => {
  await withHub(async (hub, cache) => {
    const all = WANTED.reduce((sum, name) => sum + sharded.files[name].content.length, 0);
    let stops = 0;
    let sent = 0;
    for (; stops < 50; stops++) {
      const stopped = new AbortController();
      let first: number | undefined;
      const most = all / 100 * Math.random();
      const onProgress = (done: number) => {
        first ??= done;
        sent = done;
        if (done - first >= most) stopped.abort(new Error("enough"));
      };
      const ask = asking(hub, { signal: stopped.signal });
      const error = await pullFrom(ask, cache, "main", { onProgress, connections: 2 })
        .then(() => undefined, (error) => error);
      const dir = join(folderOf(cache), "snapshots", COMMIT);
      for (const name of WANTED) {
        const file = await Deno.stat(join(dir, name)).catch(() => undefined);
        if (file) assertEquals(file.size, sharded.files[name].content.length, name);
      }
      if (error === undefined) break;
      assertEquals(error.message, "enough");
      assert(missingFiles(dir).length > 0 || stops === 49);
    }
    assertEquals(stops, 50, `it was whole after ${stops} stops, ${sent} bytes`);
    hub.asked.length = 0;
    checkSnapshot((await pullFrom(asking(hub), cache)).dir);
    assertEquals(
      pathsBelow(join(folderOf(cache), "blobs")).filter((name) => name.includes(".")),
      [],
    );
  });
});

Deno.test("the token goes to the hub, and nowhere that it sends on to", async () => {
  await withHub(async (hub, cache) => {
    hub.gated.push(SHARDED);
    await pullFrom(asking(hub, { token: TOKEN }), cache);
    assert(hub.asked.length > 20);
    for (const { where, authorization } of hub.asked) {
      assertEquals(authorization, where === "hub" ? `Bearer ${TOKEN}` : null);
    }
  });
});

Deno.test("what may not be read, and what is not there, is told with what to do", async () => {
  await withHub(async (hub, cache) => {
    hub.gated.push(SHARDED);
    const told = async (revision = "main", token?: string, repo = SHARDED) => {
      const error = await assertRejects(
        () => planPull(asking(hub, { token }), cache, repo, revision),
        HubError,
      );
      return error.message.replaceAll(hub.url, "HUB");
    };
    assertEquals(
      await told(),
      `${SHARDED} is gated: ask for access at HUB/${SHARDED}. Then set HF_TOKEN to a token of your ` +
        "account (HUB/settings/tokens).",
    );
    assertMatch(
      await told("main", "hf_other"),
      /is gated: ask for access at .* The token that was sent/,
    );
    assertMatch(
      await told("main", undefined, "some-org/other"),
      /no repository some-org\/other .*private: set HF_TOKEN/,
    );
    assertEquals(
      await told("v2.0"),
      `${SHARDED} has no revision v2.0: its branches and tags are at HUB/${SHARDED}/tree/main`,
    );
    assertEquals([...Deno.readDirSync(cache)], []);
  });
});

Deno.test("a file of another content is fetched once more, then named and not kept", async () => {
  await withHub(async (hub, cache) => {
    hub.left.wrong = 1;
    checkSnapshot((await pullFrom(asking(hub), cache)).dir);
    await Deno.remove(folderOf(cache), { recursive: true });
    const plan = await planPull(asking(hub), cache, SHARDED, "main");
    hub.left.wrong = 1000;
    const error = await assertRejects(
      () => pull(asking(hub), plan, { pieceBytes: PIECE }),
      HubError,
    );
    assertMatch(
      error.message,
      /^some-org\/sharded.model: \S+ came twice with another content: its (sha256|git-sha1) is/,
    );
    assertEquals(
      pathsBelow(folderOf(cache)).filter((path) =>
        /^snapshots.*(model-|tokenizer\.json)/.test(path)
      ),
      [],
    );
    hub.left.wrong = 0;
    checkSnapshot((await pullFrom(asking(hub), cache)).dir);
  });
});

Deno.test("busy and silent servers, limits and old addresses only cost time", async () => {
  await withHub(async (hub, cache) => {
    Object.assign(hub.left, { busy: 2, limited: 2, silent: 3, expired: 3 });
    checkSnapshot((await pullFrom(asking(hub, { silence: 200 }), cache)).dir);
    assertEquals(hub.left, { busy: 0, limited: 0, silent: 0, expired: 0, wrong: 0 });
    hub.left.busy = 1000;
    const error = await assertRejects(() => pullFrom(asking(hub), cache), HubError);
    assertMatch(error.message, /answers 503, 5 times in a row/);
    assertEquals(hub.left.busy, 995);
  });
});

Deno.test("a hub that lists names alone, and one without ranges, serve as well", async () => {
  await withHub(async (hub, cache) => {
    hub.namesOnly = true;
    hub.wholeFiles = true;
    checkSnapshot((await pullFrom(asking(hub), cache)).dir);
    // Small files are described by where the hub sends on to within itself.
    const heads = hub.asked.filter(({ method, path }) =>
      method === "HEAD" && /resolve\//.test(path)
    );
    assertEquals(heads.length, WANTED.length);
  });
});

Deno.test("where no links can be made, the files themselves lie in the snapshot", async () => {
  await withHub(async (hub, cache) => {
    const link = () => {
      throw new Deno.errors.PermissionDenied("no links here");
    };
    const { dir } = await pullFrom(asking(hub), cache, "main", { link });
    checkSnapshot(dir);
    assertEquals(
      pathsBelow(folderOf(cache)),
      ["refs/main", ...WANTED.map((name) => `snapshots/${COMMIT}/${name}`)].sort(),
    );
    assertEquals((await pullFrom(asking(hub), cache, "main", { link })).fetched, 0);
  });
});

Deno.test("what is there is hashed where that is asked for", async () => {
  await withHub(async (hub, cache) => {
    const { dir } = await pullFrom(asking(hub), cache);
    const shard = WANTED.find((name) => name.startsWith("model-00002"))!;
    const content = await Deno.readFile(join(dir, shard));
    content[1000] ^= 1;
    await Deno.writeFile(join(dir, shard), content);
    assertEquals((await pullFrom(asking(hub), cache)).fetched, 0);
    const wrong: string[] = [];
    const onWrong = ({ name }: { readonly name: string }) => wrong.push(name);
    const { fetched } = await pullFrom(asking(hub), cache, "main", { verify: true, onWrong });
    assertEquals([wrong, fetched], [[shard], content.length]);
    checkSnapshot(dir);
  });
});

Deno.test("a beginning that is not what its record says does no harm", async () => {
  await withHub(async (hub, cache) => {
    const shard = WANTED.find((name) => name.startsWith("model-00001"))!;
    const { content } = sharded.files[shard];
    const etag = etagOf(sharded.files[shard]);
    const blobs = join(folderOf(cache), "blobs");
    const cases: readonly (readonly [Uint8Array, unknown])[] = [
      [new Uint8Array(content.length), { bytes: content.length, spans: [[0, content.length]] }],
      [new Uint8Array(10), { bytes: content.length, spans: [[0, 500_000]] }],
      [new Uint8Array(2 * content.length), { bytes: 2 * content.length, spans: [[0, 99]] }],
      [content.slice(0, 5000), { bytes: content.length, spans: [[0, 5000]] }],
      [content, "{"],
    ];
    for (const [bytes, record] of cases) {
      await Deno.mkdir(blobs, { recursive: true });
      await Deno.writeFile(join(blobs, `${etag}.unmask.incomplete`), bytes);
      await Deno.writeTextFile(join(blobs, `${etag}.unmask.ranges`), JSON.stringify(record));
      checkSnapshot((await pullFrom(asking(hub), cache)).dir);
      await Deno.remove(folderOf(cache), { recursive: true });
    }
  });
});

Deno.test("two pulls of one repository fetch it once", async () => {
  await withHub(async (hub, cache) => {
    let waits = 0;
    const plans = await Promise.all(
      [1, 2].map(() => planPull(asking(hub), cache, SHARDED, "main")),
    );
    const fetched = await Promise.all(
      plans.map((plan) => pull(asking(hub), plan, { onWait: () => waits++ })),
    );
    checkSnapshot(plans[0].dir);
    assertEquals(waits, 1);
    assertEquals(fetched.filter((bytes) => bytes === 0).length, 1);
  });
});

Deno.test({
  name: "a pull that is stopped while nothing answers keeps no timer",
  sanitizeOps: true,
  async fn() {
    await withHub(async (hub, cache) => {
      hub.left.silent = 1000;
      const stopped = new AbortController();
      const ask = asking(hub, { signal: stopped.signal });
      const plan = await planPull(ask, cache, SHARDED, "main");
      const pulled = assertRejects(() => pull(ask, plan), Error, "enough");
      while (hub.left.silent === 1000) await new Promise((resolve) => setTimeout(resolve, 5));
      stopped.abort(new Error("enough"));
      await pulled;
    });
  },
});

Deno.test("a pull that waits for another can be stopped", async () => {
  await withHub(async (hub, cache) => {
    const plan = await planPull(asking(hub), cache, SHARDED, "main");
    const stopped = new AbortController();
    const waits = Promise.withResolvers<void>();
    {
      using _ = await lockRepository(cache, SHARDED, stopped.signal, () => {});
      const pulled = pull(asking(hub, { signal: stopped.signal }), plan, { onWait: waits.resolve });
      await waits.promise;
      stopped.abort(new Error("enough"));
      const late = Promise.withResolvers<Error>();
      const timer = setTimeout(() => late.resolve(new Error("still waiting")), 60_000);
      const error = await Promise.race([pulled.catch((error) => error), late.promise]);
      clearTimeout(timer);
      assertEquals(error.message, "enough");
    }
    // What it waited for is let go, too.
    const fetched = await pull(asking(hub), plan);
    assertEquals(fetched, plan.missingBytes);
  });
});
