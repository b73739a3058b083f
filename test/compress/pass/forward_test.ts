import { assert, assertEquals } from "@std/assert";
import { allLogits, predictions } from "../../../src/compress/pass/logit_source.ts";
import { ModelTeacher } from "../../../src/compress/pass/model_teacher.ts";
import { TrainingParameters } from "../../../src/compress/pass/parameters.ts";
import { TrainingPass } from "../../../src/compress/pass/training_pass.ts";
import { TrainingSpace } from "../../../src/compress/pass/training_space.ts";
import type { TrainingBatch } from "../../../src/compress/training_batch.ts";
import type { ForwardFile } from "../../../src/evaluate/parity/golden_files.ts";
import { anyGpu } from "../../gpu/device.ts";
import { goldenModel } from "../../model/models.ts";
import { goldenPath, readGolden } from "../../reference/golden.ts";
import { readSafetensors } from "../../reference/read.ts";

/** Sequences end to end, of which every row is asked. */
function batchOf(sequences: readonly (readonly number[])[]): TrainingBatch {
  const ids = Uint32Array.from(sequences.flat());
  let first = 0;
  const ranges = sequences.flatMap(({ length }) => {
    first += length;
    return [first - length, length, first - length, length];
  });
  return {
    ids,
    positions: Uint32Array.from(sequences.flatMap((sequence) => [...sequence.keys()])),
    ranges: Uint32Array.from(ranges),
    rows: Uint32Array.from(ids.keys()),
    targets: ids,
    weights: new Float32Array(ids.length).fill(1),
  };
}

/** The largest distance; NaN counts as infinite. */
function farthest(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  assertEquals(found.length, expected.length);
  let most = 0;
  for (let i = 0; i < found.length; i++) {
    const distance = Math.abs(found[i] - expected[i]);
    most = distance <= most ? most : Number.isNaN(distance) ? Infinity : distance;
  }
  return most;
}

const names = [...Deno.readDirSync(goldenPath("forward"))].map(({ name }) => name)
  .filter((name) => name.endsWith(".json")).map((name) => name.replace(".json", "")).sort();

for (const name of names) {
  Deno.test(`${name}: all sequences in one batch give the golden logits, in chunks of any size`, async () => {
    const { checkpoint, cases, tolerance } = readGolden<ForwardFile>(`forward/${name}.json`);
    const tensors = readSafetensors(goldenPath(`forward/${name}.safetensors`));
    using space = new TrainingSpace(anyGpu);
    using parameters = TrainingParameters.load(anyGpu, goldenPath(`checkpoints/${checkpoint}`));
    const batch = batchOf(cases.map(({ ids }) => ids));
    const expected = cases.flatMap((one) => [...tensors.get(`${one.name}.logits`)!.data]);
    using whole = new TrainingPass(space, parameters);
    const found = await allLogits(space, whole, batch);
    assert(farthest(found, expected) <= tolerance.logits_abs, `${farthest(found, expected)}`);

    // Three rows at a time.
    using narrow = new TrainingPass(space, parameters, { logitsBytes: 12 * whole.logitsStride });
    assertEquals(await allLogits(space, narrow, batch), found);
    const { tokens, confidences } = await predictions(space, narrow, batch);
    const argmax = cases.flatMap((one) => [...tensors.get(`${one.name}.argmax`)!.data]);
    assertEquals([...tokens], argmax);
    const sure = cases.flatMap((one) => [...tensors.get(`${one.name}.confidence`)!.data]);
    assert(farthest(confidences, sure) <= tolerance.confidence_abs);

    using teacher = new ModelTeacher(space, await goldenModel(anyGpu, checkpoint));
    const taught = await allLogits(space, teacher, batch);
    assert(farthest(taught, expected) <= tolerance.logits_abs, `teacher ${farthest(taught, expected)}`);
    const told = await predictions(space, teacher, batch);
    assertEquals([...told.tokens], argmax);
  });
}
