/** ORG/NAME, where a command takes a model folder. */

import { assertEquals, assertThrows } from "@std/assert";
import { join } from "node:path";
import { placeOf } from "../../src/cli/model_place.ts";

const COMMIT = "89abcdef0123456789abcdef0123456789abcdef";

Deno.test("a name stands for the folder in the cache; a path goes first", async () => {
  const cache = await Deno.makeTempDir({ prefix: "unmask_cache_" });
  try {
    const repository = join(cache, "models--org--model");
    const dir = join(repository, "snapshots", COMMIT);
    await Deno.mkdir(dir, { recursive: true });
    await Deno.mkdir(join(repository, "refs"));
    for (const name of ["config.json", "tokenizer.json", "model.safetensors"]) {
      await Deno.writeTextFile(join(dir, name), "{}");
    }
    await Deno.writeTextFile(join(repository, "refs", "v1"), `${COMMIT}\n`);
    for (const name of ["org/model@v1", `org/model@${COMMIT}`, "org/model@89abcdef"]) {
      assertEquals(placeOf(name, cache), dir, name);
    }
    const told = (name: string) => assertThrows(() => placeOf(name, cache), Error).message;
    assertEquals(
      told("org/model"),
      `${repository} has no revision main. It has org/model@v1. Fetch it: unmask pull org/model`,
    );
    assertEquals(
      told("org/other@v2"),
      `org/other@v2: there is no such folder here and no such model in the hub's cache ${cache}. ` +
        "Fetch it: unmask pull org/other@v2",
    );
    await Deno.remove(join(dir, "tokenizer.json"));
    assertEquals(
      told("org/model@v1"),
      `${dir} is not complete: it lacks tokenizer.json. Fetch the rest: unmask pull org/model@v1`,
    );
    // Paths, of folders that are there or not.
    for (const path of [".", dir, "./org/model", "/org/model", "org", "a/b/c"]) {
      assertEquals(placeOf(path, cache), path);
    }
    assertEquals(placeOf("test/cli", cache), "test/cli");
    assertThrows(() => placeOf("org/model", ""), Error, "no such model");
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
});
