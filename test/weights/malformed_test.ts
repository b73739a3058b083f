import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { fileURLToPath } from "node:url";
import { readConfig } from "../../src/model/loading/config.ts";
import { checkTensors } from "../../src/model/loading/tensors.ts";
import { openCheckpoint } from "../../src/weights/checkpoint.ts";
import { ModelFileError, show } from "../../src/weights/model_file_error.ts";
import { MALFORMED } from "./malformed.ts";

const good = fileURLToPath(new URL("../golden/checkpoints/mha-f32", import.meta.url));

/** All that is checked of a folder before a tensor is read; returns the number of tensors. */
function check(dir: string): number {
  const config = readConfig(dir);
  using checkpoint = openCheckpoint(dir);
  checkTensors(config, checkpoint);
  return checkpoint.tensors.size;
}

Deno.test("malformed folders have names of their own", () => {
  assert(MALFORMED.length >= 25);
  assertEquals(new Set(MALFORMED.map(({ name }) => name)).size, MALFORMED.length);
});

for (const { name, build, message } of MALFORMED) {
  // sanitizeResources: a file left open fails the test.
  Deno.test(`malformed: ${name}`, { sanitizeResources: true }, () => {
    const dir = Deno.makeTempDirSync({ prefix: "unmask-malformed-" });
    try {
      build(dir);
      const error = assertThrows(() => check(dir), ModelFileError);
      assertMatch(error.message, message);
      assert(error.message.startsWith(dir), "the message starts with the path");
      const subject = error.tensor === undefined ? error.field : show(error.tensor);
      for (const part of [error.file, subject, error.found, error.expected]) {
        assert(part, "file, tensor or field, found and expected are all said");
        assert(error.message.includes(part), part);
      }
      assertEquals(check(good), 30);
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  });
}
