import { assert, assertAlmostEquals, assertEquals, assertNotEquals } from "@std/assert";
import { denoise } from "../../src/denoise/denoise.ts";
import type { DenoiseOptions } from "../../src/denoise/denoise_step.ts";
import { newSequence } from "../../src/denoise/sequence.ts";
import type { SamplingCase } from "../../src/evaluate/parity/golden_files.ts";
import { goldenPath, readGolden } from "../reference/golden.ts";
import { loadReference } from "../reference/llada.ts";

const { cases } = readGolden<{ readonly cases: readonly SamplingCase[] }>("sampling/llada.json");

async function run(golden: SamplingCase, change: Partial<DenoiseOptions> = {}) {
  const model = loadReference(goldenPath(`checkpoints/${golden.checkpoint}`));
  const { mask_token_id, eos_token_id } = model.config;
  const stream = denoise(
    golden.prompt.map((prompt, row) =>
      newSequence(prompt, golden.gen_length, mask_token_id, golden.attention_mask?.[row])
    ),
    model,
    {
      blockLength: golden.block_length,
      steps: golden.steps,
      seeds: golden.prompt.map(() => 0),
      remasking: golden.remasking,
      temperature: golden.temperature,
      cfgScale: golden.cfg_scale,
      logitsEosInf: golden.logits_eos_inf,
      confidenceEosEotInf: golden.confidence_eos_eot_inf,
      eosToken: golden.eos_id_for_this_case ?? eos_token_id,
      eotToken: golden.eot_id_for_this_case,
      endTokens: [],
      stopAtEnd: false,
      ...change,
    },
  );
  const steps = [];
  while (true) {
    const next = await stream.next();
    if (next.done) return { steps, result: next.value };
    steps.push(next.value);
  }
}

Deno.test("there are golden sampling cases", () => assert(cases.length > 0));

for (const golden of cases) {
  Deno.test(`golden ${golden.name}: positions, tokens, confidences, forwards`, async () => {
    const { steps, result } = await run(golden);
    assertEquals(result.nfe, golden.nfe);
    assertEquals(steps.length, golden.log.length);
    const stepsPerBlock = golden.steps * golden.block_length / golden.gen_length;
    steps.forEach(({ block, step, nfe, commits }, i) => {
      const expected = golden.log[i];
      assertEquals([block, step % stepsPerBlock, nfe], [expected.block, expected.step, i + 1]);
      assertEquals(
        commits.map((row) => row.map(({ position }) => position)),
        expected.rows.map((row) => row.positions),
      );
      assertEquals(
        commits.map((row) => row.map(({ token }) => token)),
        expected.rows.map((row) => row.tokens),
      );
      commits.flat().forEach(({ confidence, logProbability }, j) => {
        assertAlmostEquals(confidence, expected.rows.flatMap((row) => row.confidence)[j], 5e-4);
        assertAlmostEquals(Math.exp(logProbability), confidence, 1e-12);
      });
    });
    assertEquals(result.sequences.map(({ ids }) => Array.from(ids)), golden.final);
  });

  const without = golden.final_without_this_option;
  if (without) {
    Deno.test(`golden ${golden.name}: without the option`, async () => {
      const off = { logitsEosInf: false, confidenceEosEotInf: false };
      const final = (await run(golden, off)).result.sequences.map(({ ids }) => Array.from(ids));
      assertEquals(final, without);
      assertNotEquals(final, golden.final);
    });
  }
}
