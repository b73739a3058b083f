/** The hub's own library for JavaScript and this program find what the other has fetched. */

import { assertEquals } from "@std/assert";
import { scanCacheDir, snapshotDownload } from "npm:@huggingface/hub@2.17.5";
import { join } from "node:path";
import { hubServer, SHARDED, WANTED } from "./hub_model.ts";
import { placeOf } from "../../src/cli/model_place.ts";
import { missingFiles } from "../../src/weights/hub/cache.ts";
import { planPull, pull } from "../../src/weights/hub/pull.ts";

async function withCache(test: (cache: string) => Promise<void>): Promise<void> {
  const cache = await Deno.makeTempDir({ prefix: "unmask_hub_tools_" });
  try {
    await test(cache);
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
}

Deno.test("what the library has fetched is found without a request, and not fetched again", async () => {
  await withCache(async (cache) => {
    await using hub = hubServer();
    const dir = await snapshotDownload({ repo: SHARDED, cacheDir: cache, hubUrl: hub.url });
    hub.asked.length = 0;
    assertEquals(placeOf(SHARDED, cache), dir);
    assertEquals(missingFiles(dir), []);
    assertEquals(hub.asked, []);
    const asking = { endpoint: hub.url, signal: new AbortController().signal };
    const plan = await planPull(asking, cache, SHARDED, "main");
    assertEquals([plan.dir, plan.missingBytes], [dir, 0]);
    assertEquals(await pull(asking, plan), 0);
    assertEquals(hub.asked.filter(({ where }) => where === "elsewhere"), []);
  });
});

Deno.test("what is pulled is listed by the library, and not fetched again", async () => {
  await withCache(async (cache) => {
    await using hub = hubServer();
    const asking = { endpoint: hub.url, signal: new AbortController().signal };
    const plan = await planPull(asking, cache, SHARDED, "main");
    await pull(asking, plan);
    const { repos, warnings } = await scanCacheDir(cache);
    assertEquals(warnings, []);
    assertEquals(repos.map(({ id }) => id.name), [SHARDED]);
    const [{ revisions, size }] = repos;
    assertEquals(size, plan.bytes);
    const [{ commitOid, refs, files }] = revisions;
    assertEquals([commitOid, refs.map(String)], [plan.commit, ["main"]]);
    const names = files.map(({ path }) => path.slice(plan.dir.length + 1)).sort();
    assertEquals(names, [...WANTED].sort());
    for (const { blob } of files) {
      assertEquals(join(plan.dir, "../../blobs"), join(blob.path, ".."));
    }
    hub.asked.length = 0;
    await snapshotDownload({ repo: SHARDED, cacheDir: cache, hubUrl: hub.url });
    const again = hub.asked.filter(({ where, path }) =>
      where === "elsewhere" && WANTED.some((name) => path.includes(`/${name}`))
    );
    assertEquals(again, []);
  });
});
