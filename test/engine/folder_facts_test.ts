/** What a model's folder tells, whatever else lies in it. */
import { assertEquals } from "@std/assert";
import { EMBEDDED_TARGET } from "../../src/engine/embedded_models.ts";
import { folderFacts } from "../../src/engine/folder_facts.ts";
import { readConfig } from "../../src/model/loading/config.ts";

Deno.test("links count as what they lead to; a folder, and a link that leads nowhere, as nothing", async () => {
  const config = readConfig(EMBEDDED_TARGET);
  const known = await folderFacts(EMBEDDED_TARGET, config, undefined, "");
  const dir = await Deno.makeTempDir();
  try {
    for (const { name } of Deno.readDirSync(EMBEDDED_TARGET)) {
      await Deno.symlink(`${EMBEDDED_TARGET}/${name}`, `${dir}/${name}`);
    }
    await Deno.symlink(`${dir}/nothing`, `${dir}/generation_config.old.json`);
    await Deno.mkdir(`${dir}/more.json`);
    assertEquals(await folderFacts(dir, config, undefined, ""), known);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
