/** Runs of a model on the GPU: they learn, and a killed one goes on bit for bit. */

import { assert, assertEquals } from "@std/assert";
import { join } from "node:path";
import { openDistil } from "../../../src/compress/distil.ts";
import { type RunEvent, train } from "../../../src/compress/run/run.ts";
import { TrainingParameters } from "../../../src/compress/pass/parameters.ts";
import { CROSS_ENTROPY } from "../../../src/compress/pass/training_loss.ts";
import { TrainingPass } from "../../../src/compress/pass/training_pass.ts";
import { TrainingSpace } from "../../../src/compress/pass/training_space.ts";
import { ModelTrainee } from "../../../src/compress/run/model_trainee.ts";
import { Optimiser } from "../../../src/compress/run/optimiser.ts";
import { startFresh } from "../../../src/compress/run/fresh_start.ts";
import type { TrainingBatch } from "../../../src/compress/training_batch.ts";
import { hash, uniform } from "../../../src/denoise/noise.ts";
import { withFolder, writeCheckpoint } from "../../model/random_checkpoint.ts";
import { openTrain } from "../../../src/compress/train.ts";
import { anyGpu } from "../../gpu/device.ts";
import { runOf, smallDistil, smallTrain, writeSmall } from "./small_run.ts";

const PROGRAM = new URL("small_run.ts", import.meta.url).pathname;

const dir = await Deno.makeTempDir();
await writeSmall(dir);

async function losses(events: AsyncIterable<RunEvent>): Promise<number[]> {
  const found: number[] = [];
  for await (const event of events) if (event.kind === "step") found.push(event.losses.loss);
  return found;
}

const newRun = () => Deno.makeTempDir({ dir });

const MASK = 47;
const SEQUENCES = 8;
const TOKENS = 6;
/** Random tokens, of which the first is another one in each sequence. */
const sequences = Uint32Array.from(
  { length: SEQUENCES * TOKENS },
  (_, i) => i % TOKENS === 0 ? i / TOKENS : 8 + Math.floor(38 * uniform(hash(1, i, 0, 0))),
);

/** All sequences, all but their first tokens masked with probability 0.6. */
function maskedSequences(step: number): TrainingBatch {
  const ids = sequences.slice();
  const rows = [...ids.keys()].filter((i) => i % TOKENS > 0 && uniform(hash(2, step, i, 0)) < 0.6);
  for (const row of rows) ids[row] = MASK;
  return {
    ids,
    positions: ids.map((_, i) => i % TOKENS),
    ranges: Uint32Array.from(
      { length: 4 * SEQUENCES },
      (_, i) => i % 2 === 0 ? TOKENS * Math.floor(i / 4) : TOKENS,
    ),
    rows: Uint32Array.from(rows),
    targets: Uint32Array.from(rows, (row) => sequences[row]),
    weights: new Float32Array(rows.length).fill(1 / rows.length),
  };
}

Deno.test("a model of two layers memorises eight sequences", async () => {
  await withFolder(async (folder) => {
    const shape = { heads: 4, kvHeads: 4, headDim: 16, layers: 2, ffnSize: 256, vocabSize: 48 };
    await writeCheckpoint(folder, shape, "memory");
    using space = new TrainingSpace(anyGpu);
    using parameters = TrainingParameters.load(anyGpu, folder);
    startFresh(parameters, 1);
    using pass = new TrainingPass(space, parameters);
    const { optimizer } = smallTrain(dir, {
      optimizer: { name: "adamw", beta2: 0.95, average: null },
    });
    using optimiser = new Optimiser(space, parameters, optimizer);
    const trainee = new ModelTrainee(space, parameters, { pass, loss: CROSS_ENTROPY, optimiser });
    const run = {
      dir: await newRun(),
      trainee,
      batches: (step: number) => [maskedSequences(step)],
      length: { steps: 200 },
      schedule: { rate: 3e-3, warmUp: 0, decay: "linear" },
      evaluateEvery: 1000,
      checkpointEvery: 1000,
      lineEvery: 100,
      device: anyGpu.name,
    } as const;
    const found = await losses(train(run));
    const mean = found.slice(-10).reduce((sum, loss) => sum + loss, 0) / 10;
    assert(found[0] > 3 && mean < 0.01, `${found[0]} became ${mean}`);
  });
});

Deno.test("distillation makes the loss smaller, of all weights and of adapters", async () => {
  for (const lora of [undefined, { rank: 8 }]) {
    const settings = smallDistil(dir, {
      lora,
      heldOut: undefined,
      length: { steps: 15 },
      schedule: { rate: 1e-2 },
    });
    using opened = await openDistil(anyGpu, settings);
    const found = await losses(train(runOf(opened, await newRun(), anyGpu)));
    const [first, last] = [found.slice(0, 3), found.slice(-3)]
      .map((some) => some.reduce((sum, loss) => sum + loss, 0));
    assert(last < 0.93 * first, `lora ${lora?.rank}: ${found}`);
  }
});

/** Bytes of the weights, moments and averages of the last checkpoint. */
function stateIn(run: string): string {
  return Deno.readFileSync(join(run, "step-0000010", "state.safetensors")).toHex();
}

Deno.test("a process that is killed goes on bit for bit on the same device", async () => {
  for (const kind of ["train", "distil"]) {
    const whole = await newRun();
    using opened = kind === "train"
      ? await openTrain(anyGpu, smallTrain(dir))
      : await openDistil(anyGpu, smallDistil(dir));
    await losses(train(runOf(opened, whole, anyGpu)));
    const run = await newRun();
    for (const after of kind === "train" ? [3, 4] : [5]) {
      const child = new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--no-lock", "--no-check", PROGRAM, dir, run, kind],
        stdout: "piped",
      }).spawn();
      let seen = 0;
      for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
        seen += text.trim().split("\n").length;
        if (seen < after) continue;
        child.kill("SIGKILL");
        break;
      }
      assertEquals((await child.status).signal, "SIGKILL");
    }
    // The run that is open is at its end: it goes back to what the killed one has left.
    const events = [];
    for await (const event of train(runOf(opened, run, anyGpu))) events.push(event);
    const [start] = events;
    assert(start.kind === "start" && start.step > 0 && start.step < 10, JSON.stringify(start));
    assert(stateIn(run) === stateIn(whole), `${kind}: the weights differ`);
  }
});

Deno.test("averages are evaluated and written, and evaluating leaves weights and averages alone", async () => {
  const settings = smallTrain(dir, { length: { steps: 6 }, evaluation: { every: 1 } });
  const evaluated = await newRun();
  {
    using opened = await openTrain(anyGpu, settings);
    await losses(train(runOf(opened, evaluated, anyGpu)));
    const [weight] = opened.trainee.state;
    const average = opened.trainee.state.find(({ name }) =>
      name === weight.name.replace("weight/", "average/")
    )!;
    const values = await average.read();
    assertEquals(await opened.trainee.result[0].read(), values);
    assert((await weight.read()).some((value, i) => value !== values[i]));
  }
  const silent = await newRun();
  using opened = await openTrain(anyGpu, { ...settings, heldOut: undefined });
  await losses(train(runOf(opened, silent, anyGpu)));
  const state = (run: string) =>
    Deno.readFileSync(join(run, "step-0000006", "state.safetensors")).toHex();
  assert(state(evaluated) === state(silent));
});
