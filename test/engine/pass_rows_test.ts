/** An answer whose passes would have too many rows is refused before it begins. */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { EMBEDDED_TARGET } from "../../src/engine/embedded_models.ts";
import { loadEngine } from "../../src/engine/load.ts";
import { checkPassRows, draftFits } from "../../src/engine/pass_rows.ts";
import { type GenerateRequest, RequestError } from "../../src/engine/request.ts";
import { toApiError } from "../../src/server/errors.ts";

const answer = {
  promptIds: new Uint32Array(8),
  genLength: 32,
  blockLength: 16,
  cfgScale: 1,
  strategy: "commit_verify" as const,
};

Deno.test("rows of an answer: its tokens and a block of shadows, twice with guidance", () => {
  checkPassRows(answer, 112);
  const error = assertThrows(
    () => checkPassRows(answer, 111),
    RequestError,
    "run 112 rows in one pass, 2 for each of 40 tokens and of a block, and the model is loaded for 111. " +
      "Ask for blocks of at most 15 tokens",
  );
  assertEquals(error.field, "blockLength");
  checkPassRows({ ...answer, cfgScale: 0 }, 56);
  assertThrows(
    () => checkPassRows({ ...answer, cfgScale: 0 }, 40),
    RequestError,
    "another strategy",
  );
  checkPassRows({ ...answer, strategy: "lossless" }, 80);
});

Deno.test("auto has the draft where it may judge shadows, others as they need it", () => {
  const auto = { ...answer, strategy: "auto" as const };
  assert(draftFits(auto, 112));
  assert(!draftFits(auto, 111));
  assert(draftFits({ ...auto, cfgScale: 0 }, 56));
  assert(draftFits({ ...answer, strategy: "gate" }, 80));
});

Deno.test("a client is told which field is wrong, not that the engine failed", async () => {
  using engine = await loadEngine(EMBEDDED_TARGET, { context: 40, batchRows: 40 });
  const request: GenerateRequest = {
    prompt: "A cat",
    maxTokens: 32,
    blockLength: 32,
    strategy: "commit_verify",
    draftThreshold: 0,
    draftDepth: 32,
    cfgScale: 1,
    stopAtEnd: false,
    seed: 1,
  };
  const error = await assertRejects(async () => {
    for await (const _ of engine.generate(request));
  });
  const { status, code, param, message } = toApiError(error);
  assertEquals([status, code, param], [400, "invalid_value", "block_length"]);
  assert(message.startsWith("block_length is 32"), message);
});
