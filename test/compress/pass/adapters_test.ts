import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  ADAPTED_MODULES,
  type AdapterOptions,
  Adapters,
  nothingTrains,
} from "../../../src/compress/pass/adapters.ts";
import { allLogits } from "../../../src/compress/pass/logit_source.ts";
import { readParameter, TrainingParameters } from "../../../src/compress/pass/parameters.ts";
import { trainedFolder } from "../../../src/compress/pass/trained_folder.ts";
import { CROSS_ENTROPY } from "../../../src/compress/pass/training_loss.ts";
import { TrainingPass } from "../../../src/compress/pass/training_pass.ts";
import { TrainingSpace } from "../../../src/compress/pass/training_space.ts";
import type { TrainingBatch } from "../../../src/compress/training_batch.ts";
import { decodeRows, encodeRows } from "../../../src/quant/encode.ts";
import { quantised } from "../../../src/quant/scheme.ts";
import { openCheckpoint } from "../../../src/weights/checkpoint.ts";
import { planFolder, writeFolder } from "../../../src/weights/folder_writer.ts";
import { anyGpu } from "../../gpu/device.ts";
import { Random } from "../../kernels/random.ts";
import {
  type CheckpointShape,
  configOf,
  withFolder,
  writeCheckpoint,
} from "../../model/random_checkpoint.ts";
import { ReferenceLlada } from "../../reference/llada.ts";
import { readCheckpoint } from "../../reference/read.ts";
import { farthest, randomBatch, referenceLoss } from "./batches.ts";

const SHAPE: CheckpointShape = {
  heads: 2,
  kvHeads: 1,
  headDim: 18,
  layers: 2,
  ffnSize: 21,
  vocabSize: 27,
};

/** A model with adapters whose B are not zero, as after some steps. */
function withAdapters(dir: string, options: Omit<AdapterOptions, "seed">) {
  const parameters = TrainingParameters.load(anyGpu, dir, { trains: nothingTrains });
  const adapters = new Adapters(parameters, { ...options, seed: 3 });
  for (const { name, layout } of parameters.trained) {
    if (!name.endsWith(".lora_B.weight")) continue;
    parameters.set(name, new Random(name).floats(layout.shape[0] * layout.shape[1], 0.3));
  }
  return { parameters, adapters };
}

Deno.test("adapters begin at the model itself, and their seed decides their numbers", async () => {
  await withFolder(async (dir) => {
    await writeCheckpoint(dir, SHAPE, "begin");
    const batch = randomBatch([5, 6], 27, "begin");
    using space = new TrainingSpace(anyGpu);
    using plain = TrainingParameters.load(anyGpu, dir);
    using plainPass = new TrainingPass(space, plain);
    const expected = await allLogits(space, plainPass, batch);
    const read = async (seed: number) => {
      using parameters = TrainingParameters.load(anyGpu, dir, { trains: nothingTrains });
      using adapters = new Adapters(parameters, { rank: 3, seed });
      using pass = new TrainingPass(space, parameters, { adapters });
      assertEquals(await allLogits(space, pass, batch), expected);
      assertEquals(parameters.trained.length, 2 * 7 * SHAPE.layers);
      const { layout, weight } = parameters.get("model.transformer.blocks.1.ff_out.lora_A.weight");
      return await readParameter(space.readback, space.recorder, layout, weight);
    };
    const numbers = await read(1);
    assertEquals(numbers.length, 3 * SHAPE.ffnSize);
    assertEquals(await read(1), numbers);
    assert(farthest(await read(2), numbers) > 0.1);
  });
});

Deno.test("adapters compute, learn and are written as the sum of matrices that they stand for", async () => {
  await withFolder(async (dir) => {
    await writeCheckpoint(dir, SHAPE, "sum");
    const batch = randomBatch([5, 1, 9], 27, "sum");
    using space = new TrainingSpace(anyGpu);
    const modules = ["q_proj", "v_proj", "attn_out", "ff_out"];
    const made = withAdapters(dir, { rank: 3, alpha: 6, modules });
    using parameters = made.parameters;
    using adapters = made.adapters;
    assertEquals(adapters.names.length, 2 * modules.length);
    using pass = new TrainingPass(space, parameters, { adapters });

    const config = configOf(SHAPE) as unknown as ReferenceLlada["config"];
    const base = new Map([...readCheckpoint(dir)].map(([name, { data }]) => [name, data]));
    const low = new Map<string, Float64Array>();
    const gradients = new Map<string, Float32Array>();
    const { terms } = await pass.step([batch], CROSS_ENTROPY);
    const { readback, recorder } = space;
    for (const { name, layout, weight, gradient } of parameters.trained) {
      low.set(name, Float64Array.from(await readParameter(readback, recorder, layout, weight)));
      gradients.set(name, await readParameter(readback, recorder, layout, gradient));
    }
    const summed = (factors: ReadonlyMap<string, Float64Array>) => {
      const weights = new Map(base);
      for (const name of adapters.names) {
        const stem = name.slice(0, -".weight".length);
        const a = factors.get(`${stem}.lora_A.weight`)!;
        const b = factors.get(`${stem}.lora_B.weight`)!;
        const inner = a.length / 3;
        const sum = (value: number, i: number) => {
          const [row, column] = [Math.floor(i / inner), i % inner];
          for (let r = 0; r < 3; r++) value += 2 * b[3 * row + r] * a[r * inner + column];
          return value;
        };
        weights.set(name, base.get(name)!.map(sum));
      }
      return weights;
    };
    const lossAt = (factors: ReadonlyMap<string, Float64Array>) =>
      referenceLoss(new ReferenceLlada(config, summed(factors)), batch);
    assertAlmostEquals(terms.loss / lossAt(low), 1, 1e-6);

    for (const [name, gradient] of gradients) {
      const random = new Random(name);
      const direction = Float64Array.from(gradient, () => random.normal());
      const moved = (by: number) =>
        lossAt(
          new Map([...low, [name, low.get(name)!.map((value, i) => value + by * direction[i])]]),
        );
      const expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
      const found = gradient.reduce((sum, value, i) => sum + value * direction[i], 0);
      const size = Math.hypot(...gradient);
      assert(size > 0, name);
      assertAlmostEquals(found / size, expected / size, 1e-4, name);
    }

    const out = `${dir}/out`;
    const content = trainedFolder(space, parameters, {
      config: configOf(SHAPE) as Record<string, string>,
      copies: [],
      settings: {},
      dtype: "F32",
      adapters,
    });
    await writeFolder(planFolder(out, content));
    const written = readCheckpoint(out);
    const expected = summed(low);
    assertEquals([...written.keys()].sort(), [...base.keys()].sort());
    for (const [name, { data }] of written) {
      assert(farthest(data, expected.get(name)!) <= 1e-6, name);
    }
  });
});

Deno.test("modules that no layer has are refused, naming those that there are", async () => {
  await withFolder(async (dir) => {
    await writeCheckpoint(dir, SHAPE, "refused");
    using parameters = TrainingParameters.load(anyGpu, dir, { trains: nothingTrains });
    const refused = (options: Partial<AdapterOptions>, message: string) =>
      assertThrows(
        () => new Adapters(parameters, { rank: 4, seed: 1, ...options }),
        RangeError,
        message,
      );
    refused(
      { modules: ["q_proj", "o_proj", "gate_proj"] },
      `no layer has a module o_proj, gate_proj: adapters go to ${ADAPTED_MODULES.join(", ")}`,
    );
    refused({ modules: [] }, "no modules");
    refused({ rank: 0 }, "a rank of 0");
    refused({ alpha: 0 }, "an alpha of 0");
  });
});

/** Gradients of adapters by name, and the loss, of one step. */
async function adapterStep(
  space: TrainingSpace,
  parameters: TrainingParameters,
  batch: TrainingBatch,
) {
  using adapters = new Adapters(parameters, { rank: 3, seed: 3 });
  for (const { name, layout } of parameters.trained) {
    if (!name.endsWith(".lora_B.weight")) continue;
    parameters.set(name, new Random(name).floats(layout.shape[0] * layout.shape[1], 0.3));
  }
  using pass = new TrainingPass(space, parameters, { adapters });
  const { terms } = await pass.step([batch], CROSS_ENTROPY);
  const gradients = new Map<string, Float32Array>();
  for (const { name, layout, gradient } of parameters.trained) {
    const { readback, recorder } = space;
    gradients.set(name, await readParameter(readback, recorder, layout, gradient));
  }
  return { loss: terms.loss, gradients };
}

type AdapterStep = Awaited<ReturnType<typeof adapterStep>>;

/** The same but for the order of sums. */
function assertSame(found: AdapterStep, expected: AdapterStep): void {
  assertAlmostEquals(found.loss / expected.loss, 1, 1e-6);
  for (const [name, gradient] of expected.gradients) {
    const largest = farthest(gradient, new Float32Array(gradient.length));
    assert(largest > 0, name);
    assert(farthest(found.gradients.get(name)!, gradient) <= 2e-5 * largest, name);
  }
}

for (
  const [name, shape] of Object.entries<CheckpointShape>({
    "heads that are padded": { ...SHAPE, dtypes: ["BF16"] },
    "a tied head": { ...SHAPE, headDim: 16, tied: true },
    "more tokens than a copy has rows": {
      ...SHAPE,
      headDim: 16,
      vocabSize: 33001,
      dtypes: ["F16"],
      layers: 1,
    },
  })
) {
  Deno.test(`${name}: matrices that stay packed train the same adapters`, async () => {
    await withFolder(async (dir) => {
      await writeCheckpoint(dir, shape, name);
      const batch = randomBatch([5, 3], shape.vocabSize, name);
      using space = new TrainingSpace(anyGpu);
      using floats = TrainingParameters.load(anyGpu, dir, { trains: nothingTrains });
      const expected = await adapterStep(space, floats, batch);
      using frozen = await TrainingParameters.frozen(anyGpu, dir);
      assertSame(await adapterStep(space, frozen, batch), expected);
    });
  });
}

Deno.test("matrices in 8 bits train adapters as their decoded weights do, and these join the original when written", async () => {
  await withFolder(async (dir) => {
    await writeCheckpoint(dir, { ...SHAPE, dtypes: ["BF16"] }, "packed");
    const batch = randomBatch([5, 3], 27, "packed");
    using space = new TrainingSpace(anyGpu);
    const scheme = quantised("q8", 32);
    using floats = TrainingParameters.load(anyGpu, dir, { trains: nothingTrains });
    const stored = readCheckpoint(dir);
    for (const { name, layout: { shape: [, inner] } } of floats.list) {
      if (!inner || !name.includes(".blocks.")) continue;
      const values = Float32Array.from(stored.get(name)!.data);
      floats.set(name, decodeRows(scheme, encodeRows(scheme, values, inner), inner));
    }
    const expected = await adapterStep(space, floats, batch);
    using frozen = await TrainingParameters.frozen(anyGpu, dir, { scheme });
    assertSame(await adapterStep(space, frozen, batch), expected);

    using other = await TrainingParameters.frozen(anyGpu, dir, { scheme });
    using adapters = new Adapters(other, { rank: 2, seed: 1, modules: ["ff_out"] });
    const changed = "model.transformer.blocks.1.ff_out";
    const b = new Random("b").floats(36 * 2, 0.3);
    other.set(`${changed}.lora_B.weight`, b);
    const { layout, weight } = other.get(`${changed}.lora_A.weight`);
    const a = await readParameter(space.readback, space.recorder, layout, weight);
    const options = {
      config: configOf(SHAPE) as Record<string, string>,
      copies: [],
      settings: {},
      dtype: "F32" as const,
      adapters,
    };
    assertThrows(() => trainedFolder(space, other, options), RangeError, "original checkpoint");
    using original = openCheckpoint(dir);
    await writeFolder(
      planFolder(`${dir}/out`, trainedFolder(space, other, { ...options, original })),
    );
    for (const [name, { data }] of readCheckpoint(`${dir}/out`)) {
      const expected = stored.get(name)!.data.map((value, i) => {
        if (name !== `${changed}.weight`) return value;
        const [row, column] = [Math.floor(i / 21), i % 21];
        return value + b[2 * row] * a[column] + b[2 * row + 1] * a[21 + column];
      });
      assert(farthest(data, expected) <= 1e-6, name);
    }
  });
});

Deno.test("a batch that asks for nothing leaves gradients of adapters at 0", async () => {
  await withFolder(async (dir) => {
    await writeCheckpoint(dir, SHAPE, "nothing asked");
    using space = new TrainingSpace(anyGpu);
    const made = withAdapters(dir, { rank: 3 });
    using parameters = made.parameters;
    using adapters = made.adapters;
    using pass = new TrainingPass(space, parameters, { adapters });
    const none = {
      rows: new Uint32Array(),
      targets: new Uint32Array(),
      weights: new Float32Array(),
    };
    const batch: TrainingBatch = { ...randomBatch([4, 1], 27, "nothing asked"), ...none };
    const { terms, asked } = await pass.step([batch], CROSS_ENTROPY);
    assertEquals([terms.loss, asked], [0, 0]);
    for (const { name, layout, gradient } of parameters.trained) {
      const found = await readParameter(space.readback, space.recorder, layout, gradient);
      assert(found.every((value) => value === 0), name);
    }
  });
});
