/** What is planned is what is allotted, and every outcome of a small memory. */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { join } from "node:path";
import { GREEDY } from "../../../src/denoise/predictor.ts";
import { newSequence } from "../../../src/denoise/sequence.ts";
import { strategyOf } from "../../../src/denoise/strategy.ts";
import { EMBEDDED_DRAFT, EMBEDDED_TARGET } from "../../../src/engine/embedded_models.ts";
import { GpuError } from "../../../src/gpu/device.ts";
import { limitContext, readConfig } from "../../../src/model/loading/config.ts";
import { TRIES } from "../../../src/model/ranked_pass.ts";
import { pagesFor } from "../../../src/model/batch/page_book.ts";
import { loadModel } from "../../../src/model/loading/load.ts";
import { type MemoryPlan, planLine, planMemory } from "../../../src/model/memory/memory_plan.ts";
import { precisionOf } from "../../../src/model/memory/precision.ts";
import { memoryChoices } from "../../../src/model/memory/choices.ts";
import type { PlanRequest } from "../../../src/model/memory/plan_request.ts";
import { QUANTISED } from "../../../src/quant/scheme.ts";
import { CheckpointError } from "../../../src/weights/checkpoint.ts";
import { anyGpu, DeviceWatch, withLimits } from "../../gpu/device.ts";
import {
  type CheckpointShape,
  configOf,
  withFolder,
  writeCheckpoint,
} from "../random_checkpoint.ts";

const PAIR: PlanRequest = {
  target: EMBEDDED_TARGET,
  draft: EMBEDDED_DRAFT,
  answer: { maxTokens: 64, blockLength: 32 },
  cache: true,
};

const plan = (changes: Partial<PlanRequest> = {}) => planMemory(anyGpu, { ...PAIR, ...changes });
const choices = ({ target, draft }: MemoryPlan) => [target.choice, draft?.choice];

/** Bytes of the pair with these weights. */
async function bytesOf(weights: "stored" | "q8" | "q4", draftWeights: "stored" | "q8" | "q4") {
  return (await plan({ weights, draftWeights })).bytes;
}

Deno.test("the draft gives way first, then the target, with a draft that is no larger", async () => {
  const order = [
    ["stored", "stored"],
    ["stored", "q8"],
    ["stored", "q4"],
    ["q8", "q8"],
    ["q8", "q4"],
    ["q4", "q4"],
  ] as const;
  let before = Infinity;
  for (const pair of order) {
    const bytes = await bytesOf(pair[0], pair[1]);
    assert(bytes < before, `${pair}`);
    assertEquals(choices(await plan({ gpuMemory: bytes })), [...pair], "just enough");
    assertEquals(choices(await plan({ gpuMemory: before - 1 })), [...pair], "a byte short of more");
    before = bytes;
  }
  const named = { gpuMemory: before - 1, context: 512 };
  const error = await assertRejects(() => plan(named), GpuError);
  assertMatch(
    error.message,
    /^tiny-target in q4 and tiny-draft in q4 at 512 tokens of context need .*, 1 byte more than --gpu-memory of .*\. What would fit: --no-draft; --context 448\.$/,
  );
});

Deno.test("where only a shorter context fits, the longest is taken and said", async () => {
  const gpuMemory = await bytesOf("q4", "q4") - 1;
  const cut = await plan({ gpuMemory });
  assertEquals([cut.context, cut.fullContext, choices(cut)], [448, 512, ["q8", "q8"]]);
  assert(cut.bytes <= gpuMemory);
  assertMatch(planLine(cut), / at 448 tokens of context \(512 do not fit\) take at most /);
  // What was named is kept: as stored, in less memory than that takes at 512 tokens.
  const named = { weights: "stored", draftWeights: "stored" } as const;
  const { bytes } = await plan({ ...named, context: 256 });
  const stored = await plan({ ...named, gpuMemory: bytes });
  assertEquals([stored.context, choices(stored)], [256, ["stored", "stored"]]);
  // Two answers of 64 tokens are the least that is worth it.
  const least = await plan({ context: 128, weights: "q4", draftWeights: "q4" });
  assertEquals((await plan({ gpuMemory: least.bytes })).context, 128);
  const { message } = await assertRejects(() => plan({ gpuMemory: least.bytes - 1 }), GpuError);
  assertMatch(message, /What would fit: .*--context 64/);
});

Deno.test("after memory ran out, a shorter context takes a tenth less at least", async () => {
  const { bytes } = await plan({ weights: "q4", draftWeights: "q4" });
  const next = await plan({ tooMany: bytes });
  assert(next.context < 512 && next.bytes <= 0.9 * bytes, `${next.context}, ${next.bytes}`);
});

Deno.test("each choice at each context takes what its plan takes", async () => {
  const contexts = [64, 256, 512, 4096];
  const rows = await memoryChoices(anyGpu, PAIR, contexts);
  assertEquals(
    rows.map(({ weights, draftWeights, context }) => [weights, draftWeights, context]),
    (["stored", "q8", "q4"] as const).flatMap((weights) =>
      [64, 256, 512].map((context) => [weights, weights, context])
    ),
  );
  for (const { weights, context, bytes, weightBytes, cacheBytes } of rows) {
    const planned = await plan({ weights, draftWeights: weights, context });
    const { target, draft } = planned;
    assertEquals([bytes, planned.context, planned.fullContext], [planned.bytes, context, context]);
    assertEquals(weightBytes, target.weights + draft!.weights);
    assertEquals(cacheBytes, target.cache + draft!.cache);
  }
});

Deno.test("each option that a refusal names leads to a plan, and what was named is kept", async () => {
  const gpuMemory = await bytesOf("q8", "q4");
  const forced = { gpuMemory, weights: "stored", draftWeights: "stored", context: 512 } as const;
  const { message } = await assertRejects(() => plan(forced), GpuError);
  const named = /What would fit: (.*)\.$/.exec(message)![1].split("; ");
  assert(named.length >= 2, message);
  await assertFitting(named, forced);
  const longest = Number(/--context (\d+)/.exec(message)![1]);
  await assertRejects(() => plan({ ...forced, context: longest + 64 }), GpuError);
});

/** What options of the command line change. */
async function assertFitting(named: readonly string[], request: Partial<PlanRequest>) {
  const changes: Readonly<Record<string, (value: string) => Partial<PlanRequest>>> = {
    "--weights": (value) => ({ weights: value as "q8" }),
    "--draft-weights": (value) => ({ draftWeights: value as "q8" }),
    "--no-draft": () => ({ draft: undefined }),
    "--context": (value) => ({ context: Number(value) }),
  };
  for (const options of named) {
    let changed = request;
    for (const [, name, value] of options.matchAll(/(--[-a-z]+)(?: (\w+))?/g)) {
      changed = { ...changed, ...changes[name](value) };
    }
    assert((await plan(changed)).bytes <= request.gpuMemory!, options);
  }
}

Deno.test("where no single change suffices, several together are named", async () => {
  const bytes = async (changes: Partial<PlanRequest>) => (await plan(changes)).bytes;
  const alone = { draft: undefined, weights: "q4", context: 32 } as const;
  const cases: readonly (readonly [Partial<PlanRequest>, RegExp])[] = [
    [{ gpuMemory: await bytes(alone) }, /What would fit: --no-draft --context 32\.$/],
    [{ gpuMemory: await bytes({ ...alone, context: 16 }) }, /: --no-draft --context 16\.$/],
    [
      { gpuMemory: await bytes(alone), weights: "stored" },
      /: --weights q4 --no-draft --context 32\.$/,
    ],
    [
      {
        gpuMemory: await bytesOf("q8", "q4"),
        weights: "stored",
        draftWeights: "stored",
      },
      /What would fit: --weights q8 --draft-weights q4; /,
    ],
  ];
  for (const [changes, expected] of cases) {
    const request = { ...changes, context: 512 };
    const { message } = await assertRejects(() => plan(request), GpuError);
    assertMatch(message, expected);
    await assertFitting(/What would fit: (.*)\.$/.exec(message)![1].split("; "), request);
  }
});

Deno.test("int8 arithmetic chooses quantised weights, and is refused with others", async () => {
  assertEquals(choices(await plan({ arithmetic: "int8" })), ["q8", "q8"]);
  for (const named of [{ weights: "stored" }, { draftWeights: "stored" }] as const) {
    await assertRejects(
      () => plan({ arithmetic: "int8", ...named }),
      GpuError,
      QUANTISED.join(" or "),
    );
  }
});

Deno.test("larger groups and a quantised head take less", async () => {
  const weights = "q4";
  const bytes = async (changes: Partial<PlanRequest>) =>
    (await plan({ weights, draft: undefined, ...changes })).target.weights;
  const plain = await bytes({});
  assert(await bytes({ group: 64 }) < plain);
  const config = readConfig(EMBEDDED_TARGET);
  assertEquals(precisionOf(weights, { head: true, group: 64 }, config).head?.group, 64);
  assertEquals(precisionOf("stored", { head: true }, config).head, undefined);
  if (config.tiedHead) assertEquals(await bytes({ head: true }), plain);
  else assert(await bytes({ head: true }) < plain);
});

Deno.test("nothing fits: said as it is", async () => {
  const { message } = await assertRejects(() => plan({ gpuMemory: 1000 }), GpuError);
  assertMatch(
    message,
    /Nothing smaller would fit: even tiny-target in q4 at 16 tokens of context takes [\d.]+ .iB\.$/,
  );
});

Deno.test("what is there bounds a plan without --gpu-memory, and a line says what was chosen", async () => {
  const available = await bytesOf("q8", "q8");
  const bounded = await plan({ available });
  assertEquals([choices(bounded), bounded.limited], [["q8", "q8"], false]);
  assertMatch(
    planLine(bounded),
    /^GPU memory: tiny-target in q8 and tiny-draft in q8 at 512 tokens of context take at most [\d.]+ MiB of [\d.]+ MiB free\. Requests share passes of 512 rows, and kept keys and values of 512 positions\.$/,
  );
  assertEquals(choices(await plan()), ["stored", "stored"]);
});

Deno.test("a context that the device has no room for is refused with one that fits", async () => {
  // 256 rows of 128 floats to a binding.
  const narrow = withLimits(anyGpu, { maxStorageBufferBindingSize: 256 * 512 });
  const named = { ...PAIR, context: 512 };
  const { message } = await assertRejects(() => planMemory(narrow, named), GpuError);
  assertMatch(message, /512 rows in one forward pass.* What would fit: --context 256\.$/);
  assertEquals((await planMemory(narrow, { ...PAIR, context: 256 })).context, 256);
  assertEquals((await planMemory(narrow, PAIR)).context, 256, "taken where none is named");
});

const SMALL: CheckpointShape = {
  heads: 2,
  kvHeads: 2,
  headDim: 32,
  layers: 2,
  ffnSize: 96,
  vocabSize: 64,
};

Deno.test("a quantised folder loads as it is stored: nothing else is tried", () =>
  withFolder(async (dir) => {
    const original = join(dir, "original");
    Deno.mkdirSync(original);
    await writeCheckpoint(original, SMALL, 1);
    const request = { ...PAIR, target: original, draft: undefined, context: 64 };
    const stored = await planMemory(anyGpu, request);
    const quantised = await planMemory(anyGpu, { ...request, gpuMemory: stored.bytes - 1 });
    assertEquals(choices(quantised), ["q8", undefined]);
    // The same folder, as if it were stored in q4: its tensors are not.
    const config = {
      ...configOf(SMALL),
      quantization_config: {
        quant_method: "unmask",
        bits: 4,
        group_size: 32,
        symmetric: true,
        scale_dtype: "float16",
        head: false,
      },
    };
    Deno.writeTextFileSync(join(original, "config.json"), JSON.stringify(config));
    await assertRejects(() => planMemory(anyGpu, request), CheckpointError);
  }));

/** Bytes of the buffers that are alive. */
const alive = (watch: DeviceWatch) =>
  [...watch.alive.values()].reduce((sum, size) => sum + size, 0);

for (const [weights, draftWeights] of [["stored", "stored"], ["q8", "q4"]] as const) {
  Deno.test(`what is planned is what is allotted: ${weights} and ${draftWeights}`, async () => {
    const context = 256;
    const planned = await plan({ weights, draftWeights, context });
    const config = limitContext(readConfig(EMBEDDED_TARGET), context);
    using watch = new DeviceWatch(anyGpu);
    let most = 0;
    const sample = () => most = Math.max(most, alive(watch));
    const load = (dir: string, choice: "stored" | "q8" | "q4", rows: number) =>
      loadModel(anyGpu, dir, {
        context,
        precision: precisionOf(choice, {}, config),
        // The least: of a round, one state of a block at a time has keys of its own.
        shared: { pages: pagesFor(context), statePages: 1, rows },
        onProgress: sample,
      });
    using target = await load(EMBEDDED_TARGET, weights, planned.target.rows);
    using draft = await load(EMBEDDED_DRAFT, draftWeights, planned.draft!.rows);
    assertEquals(
      Math.abs(alive(watch) - planned.target.weights - planned.draft!.weights),
      2 * 256 * 1024,
      "weights, and the parameters of dispatches, which an answer's memory holds",
    );
    const { maskTokenId, eosTokenId } = config;
    const sequence = newSequence(new Uint32Array(context - 64).fill(5), 64, maskTokenId);
    const options = {
      blockLength: 32,
      steps: 64,
      seeds: [0],
      eosToken: eosTokenId,
      endTokens: [],
      stopAtEnd: false,
      depth: 4,
    };
    // First what has its logits stored, whose scratch memory stays: all sampling fields, constraints; all
    // positions, with guidance; and the lists of as many requests as there can be.
    const { ids } = sequence;
    const input = { ids, positions: Uint32Array.from(ids.keys()) };
    const guidance = { scale: 1, unconditionalIds: ids };
    const shadows = input.positions.subarray(0, context / 8);
    const changes = Array.from({ length: 556 }, (_, i) => ({ token: i, repetition: 1, offset: 1 }));
    const sampling = { topK: 9, topP: 0.9, minP: 0.1, changes, likeliest: 20 };
    const choice = { ...GREEDY, temperature: 1, sampling };
    for (const model of [target, draft]) {
      // A draft's scores nobody sees.
      const { likeliest: _, ...unscored } = sampling;
      const own = model === target ? choice : { ...choice, sampling: unscored };
      await model.predict([{ ...input, choice: own }]);
      await model.predict([{ ...input, guidance, shadows, choice: own }]);
      await model.predict([{ ...input, guidance, choice: GREEDY }]);
      sample();
      await model.takeRunMemory(model === draft);
    }
    const constrained = Array.from({ length: 5 }, () => target.rankJob(input, choice, TRIES));
    await target.runTogether(constrained, 1);
    sample();
    // The longest answer by proposals, then one with kept keys and values.
    for (
      const [name, more] of [["lossless", {}], ["lossless", { cache: "dual" }], ["plain", {
        cache: "dual",
      }]] as const
    ) {
      const controller = undefined as never;
      const steps = strategyOf(name).run(sequence, { target, draft }, {
        ...options,
        ...more,
        controller,
      });
      for (let i = 0; i < 6; i++) {
        await steps.next();
        sample();
      }
      await steps.return(undefined as never);
    }
    assert(most <= planned.bytes, `${most} bytes allotted, ${planned.bytes} planned`);
    assert(most >= 0.95 * planned.bytes, `${most} bytes allotted, ${planned.bytes} planned`);
  });
}
