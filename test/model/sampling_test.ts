/** Sampling on the GPU, held against the reference on golden models. */

import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { CONFIDENCE_MEASURES } from "../../src/denoise/confidence.ts";
import type { DenoiseStep } from "../../src/denoise/denoise_step.ts";
import { gumbel } from "../../src/denoise/noise.ts";
import { type ForwardInput, GREEDY, type TokenChoice } from "../../src/denoise/predictor.ts";
import type { SamplingOptions } from "../../src/denoise/sampling.ts";
import { newSequence } from "../../src/denoise/sequence.ts";
import { type StrategyName, strategyOf, type StrategyOptions } from "../../src/denoise/strategy.ts";
import type { Model } from "../../src/model/model.ts";
import { forms } from "../gpu/device.ts";
import { Random } from "../kernels/random.ts";
import { goldenPath } from "../reference/golden.ts";
import { loadReference, type ReferenceLlada } from "../reference/llada.ts";
import { changedLogits, passing } from "../reference/sampling.ts";
import { goldenModel } from "./models.ts";

type Sampling = NonNullable<TokenChoice["sampling"]>;

const [[, gpu]] = forms;

function randomInput({ config }: Model, random: Random, sampling: Sampling): ForwardInput {
  const { embeddingSize, maskTokenId } = config;
  const ids = random.integers(14, embeddingSize).map((id, i) => i < 5 ? id : maskTokenId);
  return {
    ids,
    positions: Uint32Array.from({ length: 9 }, (_, i) => 5 + i),
    choice: {
      ...GREEDY,
      temperature: random.integer(3) * 0.8,
      seed: random.integer(1000),
      step: random.integer(9),
      bannedTokens: [random.integer(embeddingSize)],
      measure: CONFIDENCE_MEASURES[random.integer(3)],
      sampling,
    },
  };
}

/** Each field alone, then together. */
function samplings({ config }: Model, random: Random): Sampling[] {
  const changes = [...random.permutation(config.embeddingSize).slice(0, 12)].map((token, i) => ({
    token,
    repetition: i % 2 === 0 ? 1 : 1.4,
    offset: i === 3 ? -Infinity : i % 3 === 0 ? 0 : 3 * random.normal(),
  }));
  return [
    { topK: 3, changes: [] },
    { topP: 0.5, changes: [] },
    { minP: 0.3, changes: [] },
    { topP: 0, changes: [] },
    { changes },
    { changes: [], likeliest: 5 },
    { changes: [], likeliest: 0 },
    { topK: 30, topP: 0.8, minP: 0.05, changes, likeliest: 20 },
  ];
}

/** Whether rounding cannot decide which token is chosen. */
function isClear(logits: Float64Array, position: number, choice: TokenChoice): boolean {
  const changed = changedLogits(logits, choice);
  const sets = [-1e-3, 0, 1e-3].map((slack) => passing(changed, choice.sampling!, slack).join());
  if (new Set(sets).size > 1) return false;
  const { seed, step, temperature } = choice;
  const [best, second = -Infinity] = passing(changed, choice.sampling!)
    .map((token) =>
      changed[token] + (temperature && temperature * gumbel(seed, step, position, token))
    )
    .sort((a, b) => b - a);
  return best - second > 1e-3;
}

for (const name of ["mha-f32", "gqa-bf16"]) {
  for (const scale of [0, 1.5]) {
    const guided = scale > 0 ? ", guided" : "";
    Deno.test(`${name}${guided}: tokens, confidences and scores are the reference's`, async () => {
      const model = await goldenModel(gpu, name);
      const reference = loadReference(goldenPath(`checkpoints/${name}`));
      const random = new Random(`${name} ${scale}`);
      const columns = model.config.embeddingSize;
      let asked = 0;
      let decided = 0;
      for (const sampling of samplings(model, random)) {
        const drawn = randomInput(model, random, sampling);
        const unconditionalIds = drawn.ids.map(() => model.config.maskTokenId);
        const input = scale > 0 ? { ...drawn, guidance: { scale, unconditionalIds } } : drawn;
        const [found] = await model.predict([input]);
        const [expected] = await reference.predict([input]);
        const conditional = reference.forward(input.ids).logits;
        const unconditional = reference.forward(unconditionalIds).logits;
        for (const [i, position] of input.positions.entries()) {
          asked++;
          const logits = Float64Array.from({ length: columns }, (_, token) => {
            const at = position * columns + token;
            const other = unconditional[at];
            return scale > 0 ? other + (scale + 1) * (conditional[at] - other) : conditional[at];
          });
          if (!isClear(logits, position, input.choice)) continue;
          decided++;
          const where = `${JSON.stringify(sampling)} at ${position}`;
          assertEquals(found[i].token, expected[i].token, where);
          for (const field of ["confidence", "logProbability"] as const) {
            assertAlmostEquals(found[i][field], expected[i][field], 1e-3, `${where}: ${field}`);
          }
          const uncertainty = expected[i].uncertainty;
          assertAlmostEquals(found[i].uncertainty, uncertainty, 5e-3 * (1 + uncertainty), where);
          const { scores } = found[i];
          assertEquals(scores === undefined, sampling.likeliest === undefined, where);
          if (!scores) continue;
          const own = expected[i].scores!;
          assertAlmostEquals(scores.logProbability, own.logProbability, 1e-4, where);
          assertEquals(scores.likeliest.length, own.likeliest.length);
          for (const [rank, { token, logProbability }] of scores.likeliest.entries()) {
            // Two that nearly tie may stand in each other's place.
            const tied = own.likeliest.filter((other) =>
              Math.abs(other.logProbability - own.likeliest[rank].logProbability) < 1e-3
            );
            assert(tied.length > 1 || token === own.likeliest[rank].token, where);
            assertAlmostEquals(logProbability, own.likeliest[rank].logProbability, 1e-4, where);
          }
        }
      }
      assert(decided > 0.75 * asked, `${decided} of ${asked} rows were clear`);
    });
  }
}

Deno.test("filters at temperature 0 change no bit, and scores change none at any", async () => {
  const model = await goldenModel(gpu, "mha-f32");
  const random = new Random("nothing changes");
  for (let round = 0; round < 12; round++) {
    const filters = { topK: 1 + random.integer(5), topP: random.next(), minP: random.next() };
    const filtered = randomInput(model, random, { ...filters, changes: [] });
    const cold = { ...filtered.choice, temperature: 0 };
    const [[with0], [without0]] = [
      await model.predict([{ ...filtered, choice: cold }]),
      await model.predict([{ ...filtered, choice: { ...cold, sampling: undefined } }]),
    ];
    assertEquals(with0, without0);
    const choice = { ...filtered.choice, sampling: { changes: [], likeliest: 2 } };
    const [scored] = await model.predict([{ ...filtered, choice }]);
    const [bare] = await model.predict([{
      ...filtered,
      choice: { ...choice, sampling: undefined },
    }]);
    assertEquals(scored.map(({ scores: _, ...rest }) => rest), bare);
  }
});

Deno.test("more rows than one piece holds, and several questions: each as if it were alone", async () => {
  const model = await goldenModel(gpu, "gqa-bf16");
  const { embeddingSize, maskTokenId } = model.config;
  const random = new Random("pieces");
  const sampling = { topK: 9, topP: 0.9, changes: [{ token: 1, repetition: 2, offset: 1 }] };
  const ids = random.integers(80, embeddingSize).map((id) =>
    random.next() < 0.9 ? maskTokenId : id
  );
  const choice = { ...GREEDY, temperature: 1, seed: 3, sampling: { ...sampling, likeliest: 3 } };
  const positions = Uint32Array.from(ids.keys());
  const inputs = [{ ids, positions, choice }, { ids, positions, choice: GREEDY }];
  const [all, greedy] = await model.predict(inputs);
  assertEquals(await model.predict(inputs.slice(1)), [greedy]);
  for (const position of [0, 31, 32, 79]) {
    const [one] = await model.predict([{ ids, positions: Uint32Array.of(position), choice }]);
    assertEquals(one, [all[position]]);
  }
  assert(all.some(({ token }, i) => token !== greedy[i].token));
});

const RUNS: readonly (readonly [StrategyName, Partial<StrategyOptions>])[] = [
  ["plain", {}],
  ["plain", { cfgScale: 1 }],
  ["threshold", { threshold: 0.4 }],
  ["self", { depth: 3 }],
  ["auto", {}],
  ["auto", { quality: "fast" }],
];

Deno.test("an answer's tokens and scores are the reference's at the step that committed them", async () => {
  const model = await goldenModel(gpu, "mha-f32");
  const reference = loadReference(goldenPath("checkpoints/mha-f32"));
  const { maskTokenId, eosTokenId, embeddingSize } = model.config;
  const prompt = new Random("prompt").integers(6, embeddingSize).filter((id) => id !== maskTokenId);
  const sampling: SamplingOptions = {
    topP: 0.9,
    frequencyPenalty: 1,
    presencePenalty: 0.5,
    repetitionPenalty: 1.3,
    logitBias: [[3, 4], [5, -Infinity]],
    likeliest: 3,
  };
  const run = async (
    target: Model | ReferenceLlada,
    name: StrategyName,
    more: Partial<StrategyOptions>,
  ) => {
    const steps: DenoiseStep[] = [];
    const stream = strategyOf(name).run(newSequence(prompt, 12, maskTokenId), { target }, {
      blockLength: 6,
      steps: 12,
      seeds: [11],
      temperature: 0.7,
      eosToken: eosTokenId,
      endTokens: [eosTokenId],
      stopAtEnd: false,
      sampling,
      ...more,
    });
    for await (const step of stream) steps.push(step);
    return steps;
  };
  for (const [name, more] of RUNS) {
    const fast = more.quality === "fast";
    const expected = fast ? undefined : await run(reference, name, more);
    const found = await run(model, name, more);
    const answer = new Map(
      found.flatMap(({ commits: [own] }) =>
        own.map((commit) => [commit.position, commit] as const)
      ),
    );
    assertEquals(answer.size, 12, name);
    for (const { token, scores } of answer.values()) {
      assert(token !== 5 && scores!.likeliest.length === 3);
    }
    for (const [i, { commits: [own] }] of expected?.entries() ?? []) {
      assertEquals(
        found[i].commits[0].map(({ position, token }) => [position, token]),
        own.map(({ position, token }) => [position, token]),
        `${name} ${JSON.stringify(more)}, step ${i}`,
      );
      for (const [j, { scores, confidence }] of own.entries()) {
        const commit = found[i].commits[0][j];
        assertAlmostEquals(commit.confidence, confidence, 1e-4);
        assertAlmostEquals(commit.scores!.logProbability, scores!.logProbability, 1e-4);
        for (const [rank, { token, logProbability }] of scores!.likeliest.entries()) {
          const likely = commit.scores!.likeliest[rank];
          assertEquals(likely.token, token);
          assertAlmostEquals(likely.logProbability, logProbability, 1e-4);
        }
      }
    }
  }
});
