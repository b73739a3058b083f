/** Rankings on the GPU, held against those of the logits that are read back. */

import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { confidenceWithin } from "../../src/denoise/confidence.ts";
import type { RankChoice } from "../../src/model/ranked_pass.ts";
import { chooseAllowed } from "../../src/engine/constrained_choice.ts";
import { forms } from "../gpu/device.ts";
import { Random } from "../kernels/random.ts";
import { rankRow } from "../reference/ranking.ts";
import { goldenModel } from "./models.ts";

const [[, gpu]] = forms;
const PLAIN: RankChoice = { temperature: 0, seed: 0, step: 0 };

for (const name of ["mha-f32", "gqa-bf16"]) {
  Deno.test(`${name}: the best tokens are those of the logits, in their order`, async () => {
    const model = await goldenModel(gpu, name);
    const { embeddingSize, maskTokenId } = model.config;
    const random = new Random(`ranking ${name}`);
    const changes = [...random.permutation(embeddingSize).slice(0, 9)].map((token, i) => ({
      token,
      repetition: 1 + i / 10,
      offset: i === 3 ? -Infinity : i - 4,
    }));
    const choices: RankChoice[] = [
      PLAIN,
      { ...PLAIN, sampling: { changes, likeliest: 5 } },
      { ...PLAIN, sampling: { changes: [], topK: 5, likeliest: 0 } },
      { temperature: 0.7, seed: 2 ** 35 + 3, step: 4, sampling: { changes, minP: 0.1 } },
    ];
    for (const [turn, choice] of choices.entries()) {
      // More rows than are in memory together.
      const ids = random.integers(48, embeddingSize).fill(maskTokenId, 6);
      const positions = Uint32Array.from({ length: 40 }, (_, i) => 6 + i);
      const logits = await model.logitsAt({ ids, positions });
      const { rows: found, firstLogits } = await model.rankAt({ ids, positions }, choice, 64);
      assertEquals(firstLogits, logits.slice(0, embeddingSize));
      for (const [i, row] of found.entries()) {
        const own = logits.slice(i * embeddingSize, (i + 1) * embeddingSize);
        const expected = rankRow(own, positions[i], choice, 64);
        const tokens = (one: typeof row) => one.ranked.map(({ token }) => token);
        if (choice.temperature === 0) assertEquals(tokens(row), tokens(expected), `turn ${turn}`);
        assertEquals(row.position, positions[i]);
        assertEquals(row.passing?.length, expected.passing?.length);
        for (const [place, one] of row.ranked.entries()) {
          assertAlmostEquals(one.score, expected.ranked[place].score, 1e-4);
        }
        const few = new Set(random.integers(embeddingSize >> 2, embeddingSize));
        const allows = (token: number) => few.has(token);
        const chosen = chooseAllowed(row, allows, choice);
        const wanted = chooseAllowed(expected, allows, choice);
        if (choice.temperature === 0) assertEquals(chosen?.token, wanted?.token);
        if (chosen?.token === wanted?.token && chosen) {
          assertAlmostEquals(chosen.logProbability, wanted!.logProbability, 1e-5);
          assertEquals(chosen.scores?.likeliest.length, wanted!.scores?.likeliest.length);
        }
        assertAlmostEquals(
          confidenceWithin(row.rawSoftmax, own[1]).logProbability,
          confidenceWithin(expected.rawSoftmax, own[1]).logProbability,
          1e-5,
        );
      }
    }
  });
}

Deno.test("what cannot be ranked is refused before anything runs", async () => {
  const model = await goldenModel(gpu, "gqa-bf16");
  const asked = { ids: Uint32Array.of(1, 2, 3), positions: Uint32Array.of(1) };
  for (const k of [0, 1.5, 257]) {
    assertThrows(() => model.rankJob(asked, PLAIN, k), RangeError, "k");
  }
  assertThrows(() => model.rankJob(asked, { ...PLAIN, seed: -1 }, 4), RangeError, "choice.seed");
  const beyond = { ...asked, positions: Uint32Array.of(3) };
  assertThrows(() => model.rankJob(beyond, PLAIN, 4), RangeError, "input.positions[0] is 3");
  assertThrows(() => model.logitsJob(beyond), RangeError, "input.positions[0] is 3");
  const none = { ...asked, positions: new Uint32Array() };
  assertEquals((await model.logitsAt(none)).length, 0);
  assertThrows(() => model.rankJob(none, PLAIN, 4), RangeError, "input.positions is empty");
});

Deno.test("of a row its best tokens are read back, and its softmax; of the first all logits", async () => {
  const model = await goldenModel(gpu, "gqa-bf16");
  const ids = new Uint32Array(48).fill(model.config.maskTokenId, 6);
  const positions = Uint32Array.from({ length: 40 }, (_, i) => 6 + i);
  const { readback } = model;
  const read = readback.read.bind(readback);
  const sizes: number[] = [];
  readback.read = (recorder, tensor, bytes) => {
    sizes.push(bytes ?? tensor.byteLength);
    return read(recorder, tensor, bytes);
  };
  try {
    await model.rankAt({ ids, positions }, PLAIN, 64);
  } finally {
    readback.read = read;
  }
  assertEquals(sizes, [40 * 16 * (64 + 1) + 4 * model.config.embeddingSize]);
});
