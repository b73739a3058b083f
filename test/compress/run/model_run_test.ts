/** Runs of a model on the GPU: they learn, and a killed one goes on bit for bit. */

import { assert, assertEquals } from "@std/assert";
import { join } from "node:path";
import { openDistil } from "../../../src/compress/distil.ts";
import { type RunEvent, train } from "../../../src/compress/run/run.ts";
import type { Given } from "../../../src/compress/run/settings.ts";
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

async function trained(changes: Given, run?: string): Promise<number[]> {
  using opened = await openTrain(anyGpu, smallTrain(dir, changes));
  return await losses(train(runOf(opened, run ?? await newRun(), anyGpu)));
}

Deno.test("a model of two layers memorises eight sequences", async () => {
  const found = await trained({
    heldOut: undefined,
    length: { steps: 150 },
    schedule: { rate: 1e-2 },
    masking: { weighting: "one", divideBy: "weights", ratio: { low: 0.2, high: 0.8 } },
  });
  const last = found.slice(-8);
  const mean = last.reduce((sum, loss) => sum + loss, 0) / last.length;
  assert(found[0] > 5 && mean < 0.01, `${found[0]} became ${mean}`);
});

Deno.test("distillation makes the loss smaller, of all weights and of adapters", async () => {
  for (const lora of [undefined, { rank: 4 }]) {
    const settings = smallDistil(dir, { lora, heldOut: undefined, length: { steps: 20 } });
    using opened = await openDistil(anyGpu, settings);
    const found = await losses(train(runOf(opened, await newRun(), anyGpu)));
    assert(found.at(-1)! < 0.8 * found[0], `${found}`);
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
    for (const after of [3, 4]) {
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
