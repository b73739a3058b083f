import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { type BlockOptions, denoiseBlocks } from "../../src/denoise/strategies/blocks.ts";
import {
  type Canvas,
  type CanvasSequence,
  type CanvasStep,
  GREEDY,
  type PositionRange,
} from "../../src/denoise/predictor.ts";
import { newSequence } from "../../src/denoise/sequence.ts";
import { gather } from "../denoise/draw.ts";
import type { Model } from "../../src/model/model.ts";
import { anyGpu, DeviceWatch, elements } from "../gpu/device.ts";
import { Random } from "../kernels/random.ts";
import { goldenPath } from "../reference/golden.ts";
import type { KeptKeys } from "../reference/kept_keys.ts";
import { loadReference } from "../reference/llada.ts";
import { goldenModel } from "./models.ts";

/**
 * What logits may differ by: f32 sums; or twice what rounding to f16 changes at most in the reference, as
 * a device need not round to nearest, and may round a value that lies in the middle either way.
 */
const LOGITS_ABS = { f32: 5e-4, f16: 4e-2 };

const CHECKPOINTS = ["mha-f32", "gqa-bf16"] as const;

const BASE = {
  blockEnd: Infinity,
  commits: 0,
  remasking: "low_confidence",
  choices: [GREEDY],
  stopAtEnd: false,
} as const satisfies CanvasStep;

const REFRESH: CanvasStep = { ...BASE, cache: "refresh" };

/** Commits at most `commits` masks of a part. */
const partStep = (part: PositionRange, commits: number): CanvasStep => ({
  ...BASE,
  blockStart: part.first,
  blockEnd: part.end,
  commits,
  cache: part,
});

/** Runs `body` on a canvas that is destroyed afterwards. */
async function withCanvas<T>(
  model: Model,
  sequence: Partial<CanvasSequence> & Pick<CanvasSequence, "ids">,
  body: (canvas: Canvas) => Promise<T>,
): Promise<T> {
  const { maskTokenId, eosTokenId } = model.config;
  const canvas = await model.openCanvas([
    { promptLength: 0, endTokens: [eosTokenId], maskToken: maskTokenId, ...sequence },
  ]);
  try {
    return await body(canvas);
  } finally {
    canvas.destroy();
  }
}

/** Tokens and masks, the first ones hidden now and then. */
function randomIds(model: Model, random: Random, length: number) {
  const { embeddingSize, maskTokenId } = model.config;
  const ids = random.integers(length, embeddingSize)
    .map((id) => random.next() < 0.5 ? maskTokenId : id);
  const pads = random.next() < 0.5 ? 0 : random.integer(4);
  const attentionMask = Uint8Array.from(ids, (_, i) => i < pads ? 0 : 1);
  return { ids, attentionMask: pads > 0 ? attentionMask : undefined, pads };
}

function randomPart(random: Random, pads: number, length: number): PositionRange {
  const first = pads + random.integer(length - pads);
  return { first, end: first + 1 + random.integer(length - first) };
}

const masksIn = (ids: Uint32Array, { first, end }: PositionRange, mask: number) =>
  ids.subarray(first, end).filter((id) => id === mask).length;

const cases = CHECKPOINTS.flatMap((name) => elements.map((element) => [name, element] as const));

for (const [name, element] of cases) {
  const what = `${name}, kept in ${element}`;
  const tolerance = LOGITS_ABS[element];

  Deno.test(`${what}: parts run against kept keys and values as the reference does`, async () => {
    const model = await goldenModel(anyGpu, name, element);
    const oracle = loadReference(goldenPath(`checkpoints/${name}`));
    const columns = model.config.embeddingSize;
    const random = new Random(`kept ${name}`);
    let compared = 0;
    let stale = 0;
    for (let round = 0; round < 6; round++) {
      const length = 9 + random.integer(25);
      const { ids, attentionMask, pads } = randomIds(model, random, length);
      const kept: KeptKeys = [];
      await withCanvas(model, { ids, attentionMask }, async (canvas) => {
        const state = ids.slice();
        for (let step = 0; step < 7; step++) {
          const whole = { first: 0, end: length };
          const refresh = step === 0 || random.next() < 0.2;
          const part = refresh ? whole : randomPart(random, pads, length);
          const { logits } = oracle.forward(state, attentionMask, { kept, element, ...part });
          const [[commits]] = await canvas.run([
            { ...partStep(part, 2), cache: refresh ? "refresh" : part },
          ]);
          const left = state.map((id, i) => attentionMask?.[i] === 0 ? 0 : id);
          const masks = masksIn(left, part, model.config.maskTokenId);
          assertEquals(commits.length, Math.min(2, masks));
          const full = oracle.forward(state, attentionMask).logits;
          for (const { position, token, logProbability } of commits) {
            const row = logits.subarray(position * columns, (position + 1) * columns);
            const most = row.reduce((a, b) => Math.max(a, b));
            assertAlmostEquals(row[token], most, tolerance);
            const sum = row.reduce((sum, logit) => sum + Math.exp(logit - most), 0);
            assertAlmostEquals(logProbability, row[token] - most - Math.log(sum), tolerance);
            compared++;
            if (Math.abs(full[position * columns + token] - row[token]) > 0.05) stale++;
            state[position] = token;
          }
          // Tokens decided elsewhere, which keys and values kept do not know of.
          const at = pads + random.integer(length - pads);
          state[at] = random.integer(columns);
          canvas.setIds(0, state);
        }
      });
    }
    assert(compared > 20, `${compared} commits compared`);
    assert(stale > 5, `only ${stale} commits depended on what was kept`);
  });

  Deno.test(`${what}: a part right behind a refresh has the bits of the full pass`, async () => {
    const model = await goldenModel(anyGpu, name, element);
    let rounded = 0;
    await fc.assert(
      fc.asyncProperty(fc.nat(), async (seed) => {
        const random = new Random(seed);
        const length = 6 + random.integer(40);
        const { ids, attentionMask, pads } = randomIds(model, random, length);
        const part = randomPart(random, pads, length);
        const { cache: _, ...full } = partStep(part, length);
        await withCanvas(model, { ids, attentionMask }, async (canvas) => {
          const parted = await canvas.run([REFRESH, partStep(part, 0), partStep(part, length)]);
          // A refresh is a full pass itself, and reads what it keeps.
          canvas.setIds(0, ids);
          const [expected] = await canvas.run([{ ...full, cache: "refresh" }]);
          assertEquals(parted, [[[]], [[]], expected]);
          canvas.setIds(0, ids);
          const [without] = await canvas.run([full]);
          if (element === "f32") assertEquals(without, expected);
          else if (without[0][0]?.logProbability !== expected[0][0]?.logProbability) rounded++;
        });
      }),
      { numRuns: 12, seed: 5 },
    );
    if (element === "f16") assert(rounded > 4, "keys and values were not rounded");
  });

  Deno.test(`${what}: a refresh at every step is one cache, and in f32 none at all`, async () => {
    const model = await goldenModel(anyGpu, name, element);
    const { eosTokenId, maskTokenId } = model.config;
    const sequence = newSequence([7, 30, 2], 12, maskTokenId, [0, 1, 1]);
    const rules = [
      { kind: "count" },
      { kind: "threshold", threshold: 0.02 },
      { kind: "factor", factor: 2.5 },
    ] as const;
    for (const rule of rules) {
      const run = (change: Partial<BlockOptions>) =>
        gather(denoiseBlocks(sequence, model, {
          rule,
          blockLength: 6,
          steps: 6,
          seeds: [4],
          temperature: rule.kind === "count" ? 0.8 : 0,
          eosToken: eosTokenId,
          endTokens: [eosTokenId],
          stopAtEnd: false,
          ...change,
        }));
      const every = { cache: "dual", refreshInterval: 1 } as const;
      const expected = await run(element === "f32" ? {} : every);
      for (const cache of ["prefix", "dual"] as const) {
        assertEquals(await run({ cache, refreshInterval: 1 }), expected);
        const { result } = await run({ cache, refreshInterval: 3 });
        assert(!result.sequences[0].ids.subarray(3).includes(maskTokenId));
      }
    }
  });

  Deno.test(`${what}: a part leaves the keys and values of other rows alone`, async () => {
    const model = await goldenModel(anyGpu, name, element);
    const { maskTokenId } = model.config;
    const ids = new Random(name).integers(40, 50);
    const block = { first: 9, end: 18 };
    const asked = [{ first: 0, end: 9 }, { first: 18, end: 40 }];
    for (const { first, end } of asked) ids.fill(maskTokenId, first + 2, end - 1);
    for (const part of asked) {
      const [expected] = await withCanvas(
        model,
        { ids },
        (canvas) => canvas.run([{ ...partStep(part, 40), cache: "refresh" }]),
      );
      await withCanvas(model, { ids }, async (canvas) => {
        await canvas.run([REFRESH]);
        // Other tokens pass through the block, and the first ones again: only its own rows follow.
        canvas.setIds(0, ids.map((id, i) => i >= block.first && i < block.end ? 49 - id : id));
        await canvas.run([partStep(block, 0)]);
        const [disturbed] = await canvas.run([partStep(part, 1)]);
        assert(
          !expected[0].some(({ logProbability }) =>
            logProbability === disturbed[0][0].logProbability
          ),
        );
        canvas.setIds(0, ids);
        await canvas.run([REFRESH]);
        canvas.setIds(0, ids.map((id, i) => i >= block.first && i < block.end ? 49 - id : id));
        await canvas.run([partStep(block, 0)]);
        canvas.setIds(0, ids);
        await canvas.run([partStep(block, 0)]);
        assertEquals(await canvas.run([partStep(part, 40)]), [expected]);
      });
    }
  });
}

Deno.test("keys and values of two sequences, or never kept, are refused", async () => {
  const model = await goldenModel(anyGpu, "mha-f32");
  const { maskTokenId: mask } = model.config;
  const ids = Uint32Array.of(4, 5, mask, mask);
  const sequence = { ids, promptLength: 2, endTokens: [], maskToken: mask };
  const part = partStep({ first: 2, end: 4 }, 1);
  const full: CanvasStep = { ...BASE, commits: 2 };
  for (
    const [sequences, steps, message] of [
      [[sequence, sequence], [REFRESH], "for one sequence: the canvas has 2"],
      [[sequence], [part], "no keys and values are kept yet"],
      [[sequence], [full, part], "no keys and values are kept yet"],
    ] as const
  ) {
    const choices = sequences.map(() => GREEDY);
    const canvas = await model.openCanvas(sequences);
    const run = () => canvas.run(steps.map((step) => ({ ...step, choices })));
    await assertRejects(run, RangeError, message);
    // Nothing of the refused run was done.
    const fresh = await model.openCanvas(sequences);
    const again = [{ ...full, choices }];
    assertEquals(await canvas.run(again), await fresh.run(again));
    canvas.destroy();
    fresh.destroy();
  }
  anyGpu.throwIfFaulty();
});

Deno.test("guidance of scale 0 is no guidance, and keys and values are kept", async () => {
  const model = await goldenModel(anyGpu, "mha-f32");
  const ids = new Uint32Array(9).fill(model.config.maskTokenId);
  const steps = [REFRESH, partStep({ first: 3, end: 7 }, 2)];
  const guidance = { scale: 0, unconditionalIds: ids };
  const idle = await withCanvas(model, { ids, guidance }, (canvas) => canvas.run(steps));
  assertEquals(idle, await withCanvas(model, { ids }, (canvas) => canvas.run(steps)));
});

Deno.test("a destroyed canvas gives its pages back, and the next one has them", async () => {
  const model = await goldenModel(anyGpu, "mha-f32");
  const ids = new Uint32Array(40).fill(model.config.maskTokenId);
  const parts = [{ first: 0, end: 12 }, { first: 4, end: 8 }, { first: 8, end: 40 }];
  const steps = [REFRESH, ...parts.map((part) => partStep(part, 1))];
  const { free } = model.pages;
  // The model's own buffers grow to size here.
  await withCanvas(model, { ids }, (canvas) => canvas.run([{ ...BASE, commits: 1 }, ...steps]));
  assertEquals(model.pages.free, free);
  using watch = new DeviceWatch(anyGpu);
  await withCanvas(model, { ids }, async (canvas) => {
    await canvas.run([{ ...BASE, commits: 1 }]);
    assertEquals(model.pages.free, free, "what keeps nothing has no pages");
    await canvas.run(steps);
    await canvas.run(steps);
    assertEquals(model.pages.free, free - 2);
  });
  assertEquals([model.pages.free, watch.alive.size], [free, 0]);
  anyGpu.throwIfFaulty();
});
