/** Plans of memory: what is chosen, what is refused, and that a run takes what was planned. */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { join } from "node:path";
import { openDistil, planDistil } from "../../src/compress/distil.ts";
import { type PlanRequest, planTraining } from "../../src/compress/plan.ts";
import { remembered } from "../../src/compress/run/optimiser.ts";
import { train } from "../../src/compress/run/run.ts";
import { GpuError } from "../../src/gpu/device.ts";
import { parseConfig } from "../../src/model/loading/config.ts";
import { SYNTHETIC_SHAPES, syntheticConfig } from "../../src/model/synthetic/synthetic_shape.ts";
import { anyGpu, DeviceWatch } from "../gpu/device.ts";
import { runOf, smallDistil, writeSmall } from "./run/small_run.ts";

const config = (name: keyof typeof SYNTHETIC_SHAPES) =>
  parseConfig(syntheticConfig(SYNTHETIC_SHAPES[name]), name);
const GIB = 2 ** 30;

const request = (changes: Partial<PlanRequest> = {}): PlanRequest => ({
  student: config("mid"),
  loadedBytes: GIB,
  remembered: () => ["m", "v"],
  sequence: 512,
  stepRows: 8192,
  ...changes,
});

Deno.test("a plan has the most rows that fit, and keeps products where they fit too", () => {
  const wide = planTraining(request(), 64 * GIB);
  assertEquals([wide.rows, wide.keepActivations], [4096, true]);
  const tight = planTraining(request(), wide.bytes - 1);
  assertEquals([tight.rows, tight.keepActivations], [4096, false]);
  const tighter = planTraining(request(), tight.bytes - 1);
  assertEquals(tighter.rows, 2048);
  assert(tighter.bytes < wide.bytes);
  // A step with fewer rows has no use for more.
  assertEquals(planTraining(request({ stepRows: 100 }), 64 * GIB).rows, 512);
  assertEquals(planTraining(request({ rows: 700, keepActivations: false }), undefined).rows, 700);
});

Deno.test("what does not fit is refused with what would: shorter sequences, or adapters", () => {
  const draft = request({ student: config("llada-24l"), loadedBytes: 10 * GIB });
  assertThrows(() => planTraining(draft, 48 * GIB), GpuError, "--lora 64");
  const short = request({ sequence: 4096 });
  const least = planTraining(
    request({ sequence: 256, rows: 256, keepActivations: false }),
    undefined,
  );
  assertThrows(() => planTraining(short, least.bytes), GpuError, "--sequence 256");
  assertThrows(() => planTraining(draft, GIB), GpuError, "Nothing smaller would fit");
});

Deno.test("what Muon multiplies and what averages change places with is counted", () => {
  const of = (kinds: readonly string[]) => {
    const { parts } = planTraining(request({ remembered: () => kinds }), undefined);
    return parts.find(({ name }) => name === "optimiser's products")?.bytes ?? 0;
  };
  assertEquals(of(["m", "v"]), 0);
  const { hiddenSize, ffnSize, embeddingSize } = config("mid");
  assertEquals(of(["m", "v", "average"]), 4 * embeddingSize * hiddenSize);
  const names = (name: string) => remembered({ name: "muon", average: null }, name);
  const { parts } = planTraining(request({ remembered: names }), undefined);
  assertEquals(
    parts.find(({ name }) => name === "optimiser's products")?.bytes,
    4 * (2 * ffnSize * hiddenSize + 2 * hiddenSize ** 2),
  );
  // Adapters have Muon as the matrices do.
  const lora = { rank: 16, modules: ["q_proj"] };
  const adapted = planTraining(request({ remembered: names, lora }), undefined).parts;
  const bytes = (part: string) => adapted.find(({ name }) => name === part)?.bytes;
  assertEquals(bytes("optimiser"), bytes("adapters"));
});

Deno.test("weights of the 24-layer draft, their gradients and moments are what they are known to be", () => {
  const { parts } = planTraining(request({ student: config("llada-24l") }), undefined);
  const of = (name: string) => parts.find((part) => part.name === name)!.bytes;
  assertEquals(of("weights, f32"), 4 * 5_364_715_520);
  assertEquals(of("gradients"), of("weights, f32"));
  assertEquals(of("optimiser"), 2 * of("weights, f32"));
});

Deno.test("a student of another tokenizer is refused, by the first token that differs", async () => {
  const dir = await Deno.makeTempDir();
  await writeSmall(dir);
  const file = join(dir, "small", "tokenizer.json");
  const text = Deno.readTextFileSync(file);
  const swapped = text.replace('"Ġthe":', '"Ġ?":').replace('"ĠThe":', '"Ġthe":')
    .replace('"Ġ?":', '"ĠThe":');
  assert(swapped !== text);
  Deno.writeTextFileSync(file, swapped);
  await assertRejects(
    () => planDistil(anyGpu, smallDistil(dir)),
    Error,
    'is " The", expected " the" as in',
  );
});

Deno.test("a run takes what was planned", async () => {
  const dir = await Deno.makeTempDir();
  await writeSmall(dir);
  const muon = { name: "muon", average: 0.9 };
  for (
    const [keepActivations, lora, optimizer] of [
      [false],
      [true, undefined, muon],
      [false, { rank: 8 }],
    ] as const
  ) {
    const settings = {
      ...smallDistil(dir, {
        lora,
        optimizer,
        length: { steps: 1 },
        heldOut: undefined,
        batch: { samples: 32 },
        // Every row is asked for: the most that there can be.
        masking: { plainShare: 1, ratio: { low: 1, high: 1 } },
      }),
      rows: 512,
      keepActivations,
    };
    const plan = await planDistil(anyGpu, settings);
    using watch = new DeviceWatch(anyGpu);
    using opened = await openDistil(anyGpu, settings);
    let most = 0;
    for await (const _ of train(runOf(opened, await Deno.makeTempDir({ dir }), anyGpu))) {
      most = Math.max(most, [...watch.alive.values()].reduce((sum, bytes) => sum + bytes, 0));
    }
    const share = most / plan.bytes;
    assert(
      share > 0.8 && share < 1.05,
      `${most} bytes of ${plan.bytes}, kept: ${keepActivations}, ${lora?.rank}`,
    );
  }
});
