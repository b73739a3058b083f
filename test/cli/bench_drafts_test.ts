/** `bench drafts` on the embedded pair: figures of a draft that lies elsewhere, and their picture. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { DRAFTED } from "../../src/bench/drafts.ts";
import { runTask } from "./command.ts";

Deno.test("drafts of one target are compared, drawn, and refused by name", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const draft = join(dir, "thin");
    await Deno.mkdir(draft);
    for (const { name } of Deno.readDirSync("models/tiny-draft")) {
      await Deno.copyFile(`models/tiny-draft/${name}`, join(draft, name));
    }
    const [json, picture] = [join(dir, "drafts.json"), join(dir, "drafts.png")];
    const args = ["drafts", "--drafts", draft, "--limit", "1", "--steps", "8"];
    const run = await runTask("bench", [...args, "--json", json, "--picture", picture]);
    assertEquals(run.code, 0, `${run.stdout}${run.stderr}`);
    const { drafts: [found] } = JSON.parse(await Deno.readTextFile(json));
    assertEquals([found.layers, found.ffnSize, found.answers], [3, 112, 1]);
    assert(found.costShare > 0.2 && found.costShare < 0.25, `${found.costShare}`);
    assert(found.agreement > 0.9, `${found.agreement}`);
    assertEquals(found.strategies.map(({ strategy }: { strategy: string }) => strategy), DRAFTED);
    for (const { toPlain, boundByWeights, targetForwards } of found.strategies) {
      assert(toPlain > 0 && boundByWeights > 0 && targetForwards > 0);
    }
    assertStringIncludes(run.stdout, "3 x 112");
    assertEquals([...(await Deno.readFile(picture)).subarray(1, 4)], [
      ...new TextEncoder().encode("PNG"),
    ]);

    const absent = await runTask("bench", ["drafts", "--drafts", join(dir, "absent")]);
    assertEquals(absent.code, 1);
    assertStringIncludes(absent.stderr, "absent");
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
