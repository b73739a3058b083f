import { assert, assertEquals, assertThrows } from "@std/assert";
import { allLogits, predictions } from "../../../src/compress/pass/logit_source.ts";
import { ModelTeacher } from "../../../src/compress/pass/model_teacher.ts";
import { checkBatch } from "../../../src/compress/pass/prepared_batch.ts";
import { TrainingParameters } from "../../../src/compress/pass/parameters.ts";
import { TrainingPass } from "../../../src/compress/pass/training_pass.ts";
import { TrainingSpace } from "../../../src/compress/pass/training_space.ts";
import type { TrainingBatch } from "../../../src/compress/training_batch.ts";
import type { ForwardFile } from "../../../src/evaluate/parity/golden_files.ts";
import { anyGpu } from "../../gpu/device.ts";
import { goldenModel } from "../../model/models.ts";
import { goldenPath, readGolden } from "../../reference/golden.ts";
import { readSafetensors } from "../../reference/read.ts";
import { batchOf, farthest } from "./batches.ts";

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
    assert(
      farthest(taught, expected) <= tolerance.logits_abs,
      `teacher ${farthest(taught, expected)}`,
    );
    const told = await predictions(space, teacher, batch);
    assertEquals([...told.tokens], argmax);
  });
}

Deno.test("a batch that does not fit the model is refused, naming what is wrong", () => {
  const limits = { embeddingSize: 50, maxSequenceLength: 8 };
  const batch = batchOf([[1, 2, 3], [4, 5]]);
  checkBatch(batch, limits);
  const refused = (changed: Partial<TrainingBatch>, message: string) =>
    assertThrows(() => checkBatch({ ...batch, ...changed }, limits), RangeError, message);
  refused(
    { ids: Uint32Array.of(1, 2, 50, 4, 5) },
    "batch.ids[2] is 50, the model has ids below 50",
  );
  refused({ positions: Uint32Array.of(0, 1, 2, 0, 8) }, "batch.positions[4] is 8");
  refused({ rows: Uint32Array.of(0, 1, 3, 2, 4) }, "batch.rows[3] is 2, expected ascending rows");
  refused({ rows: Uint32Array.of(0, 1, 2, 3, 5) }, "batch.rows[4] is 5");
  refused({ weights: new Float32Array(4) }, "batch.weights has 4 entries, expected 5");
  refused({ targets: Uint32Array.of(1, 2, 3, 4, 50) }, "batch.targets[4] is 50");
  refused(
    { ranges: Uint32Array.of(0, 3, 0, 3, 3, 2, 0, 5) },
    "batch.ranges: sequence 1 is (3, 2, 0, 5)",
  );
  refused({ ranges: Uint32Array.of(0, 3, 0, 3) }, "batch.ranges cover 3 rows, the batch has 5");
});
