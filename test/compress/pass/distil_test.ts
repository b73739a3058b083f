import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { allLogits, type LogitSource } from "../../../src/compress/pass/logit_source.ts";
import { ModelTeacher } from "../../../src/compress/pass/model_teacher.ts";
import { readParameter, TrainingParameters } from "../../../src/compress/pass/parameters.ts";
import { CROSS_ENTROPY, DistilLoss } from "../../../src/compress/pass/training_loss.ts";
import { TrainingPass } from "../../../src/compress/pass/training_pass.ts";
import { TrainingSpace } from "../../../src/compress/pass/training_space.ts";
import type { TrainingBatch } from "../../../src/compress/training_batch.ts";
import { CARD_TERMS } from "../../../src/kernels/distil_loss.ts";
import { loadModel } from "../../../src/model/loading/load.ts";
import { anyGpu } from "../../gpu/device.ts";
import {
  type CheckpointShape,
  withFolder,
  writeCheckpoint,
} from "../../model/random_checkpoint.ts";
import { randomBatch } from "./batches.ts";

const STUDENT: CheckpointShape = {
  heads: 2,
  kvHeads: 2,
  headDim: 16,
  layers: 1,
  ffnSize: 24,
  vocabSize: 35,
};
const TEACHER: CheckpointShape = { ...STUDENT, heads: 4, kvHeads: 2, layers: 2 };
const COUNT = 5;

/** The terms of the loss in plain numbers, from the logits of both. */
function expectedTerms(
  student: Float32Array,
  teacher: Float32Array,
  { weights }: TrainingBatch,
): Record<string, number> {
  const columns = 35;
  const sums: Record<string, number> = { ce: 0, kl: 0, mse: 0, loss: 0 };
  const softmax = (row: number[]) => {
    const most = Math.max(...row);
    const exps = row.map((value) => Math.exp(value - most));
    const total = exps.reduce((a, b) => a + b);
    return exps.map((value) => value / total);
  };
  weights.forEach((weight, i) => {
    const row = (of: Float32Array) => [...of.subarray(i * columns, (i + 1) * columns)];
    const [s, t] = [row(student), row(teacher)];
    const best = [...t.keys()].sort((a, b) => t[b] - t[a]).slice(0, COUNT);
    const [ps, pt] = [softmax(s), softmax(t)];
    const p = softmax(best.map((token) => s[token]));
    const q = softmax(best.map((token) => t[token]));
    const ce = -Math.log(ps[best[0]]);
    const kl = p.reduce((sum, value, j) => sum + value * Math.log(value / q[j]), 0);
    const mse = (Math.max(...ps) - pt[best[0]]) ** 2;
    const loss = CARD_TERMS.ce * ce + CARD_TERMS.kl * kl + CARD_TERMS.mse * mse;
    for (const [name, value] of Object.entries({ ce, kl, mse, loss })) sums[name] += weight * value;
  });
  return sums;
}

Deno.test("a student is compared with a loaded model or with a model in training, over micro-batches", async () => {
  await withFolder(async (dir) => {
    const folder = async (name: string, shape: CheckpointShape) => {
      Deno.mkdirSync(`${dir}/${name}`);
      await writeCheckpoint(`${dir}/${name}`, shape, name);
      return `${dir}/${name}`;
    };
    const [studentDir, teacherDir] = [
      await folder("student", STUDENT),
      await folder("teacher", TEACHER),
    ];
    using space = new TrainingSpace(anyGpu);
    using parameters = TrainingParameters.load(anyGpu, studentDir);
    using pass = new TrainingPass(space, parameters, { logitsBytes: 6000 });
    using model = await loadModel(anyGpu, teacherDir);
    using loaded = new ModelTeacher(space, model);
    using other = TrainingParameters.load(anyGpu, teacherDir, { trains: () => false });
    using trained = new TrainingPass(space, other);
    const batches = [randomBatch([60, 30], 35, "one"), randomBatch([20, 3], 35, "two")];
    const teachers: LogitSource[] = [loaded, trained];
    for (const teacher of teachers) {
      const expected: Record<string, number> = { ce: 0, kl: 0, mse: 0, loss: 0 };
      for (const batch of batches) {
        const [s, t] = [
          await allLogits(space, pass, batch),
          await allLogits(space, teacher, batch),
        ];
        for (const [name, value] of Object.entries(expectedTerms(s, t, batch))) {
          expected[name] += value;
        }
      }
      const { terms, asked } = await pass.step(
        batches,
        new DistilLoss(space, teacher, { count: COUNT }),
      );
      assertEquals(asked, batches[0].rows.length + batches[1].rows.length);
      assertEquals(Object.keys(terms), Object.keys(expected));
      for (const [name, value] of Object.entries(expected)) {
        assertAlmostEquals(terms[name], value, 1e-4 * value, name);
      }
    }
    // Work of any size is submitted piece by piece, which changes nothing.
    using often = new TrainingSpace(anyGpu, { submitOperations: 1 });
    const submits: number[] = [];
    const results = [];
    for (const each of [space, often]) {
      // A GPU else begins while the rest is recorded.
      each.recorder.firstSubmit = Infinity;
      using again = new TrainingPass(each, parameters, { logitsBytes: 6000 });
      using taught = new ModelTeacher(each, model);
      parameters.clearGradients(each.recorder);
      const before = each.recorder.counts.submits;
      const { terms } = await again.step(batches, new DistilLoss(each, taught, { count: COUNT }));
      submits.push(each.recorder.counts.submits - before);
      const { gradient } = parameters.get("model.transformer.wte.weight");
      results.push([terms, await each.readback.read(each.recorder, gradient!)]);
    }
    assertEquals(results[1], results[0]);
    assertEquals(submits[0], batches.length + 1);
    assert(submits[1] > 20, `${submits[1]} submits`);
    // A student that is its own teacher agrees with it everywhere.
    const own = await pass.step(batches, new DistilLoss(space, pass));
    assertEquals(own.correct, own.asked);
    assert(Math.abs(own.terms.kl) < 1e-4 && own.terms.mse < 1e-6);

    const strange = await folder("strange", { ...TEACHER, vocabSize: 40 });
    using another = TrainingParameters.load(anyGpu, strange, { trains: () => false });
    using strangePass = new TrainingPass(space, another);
    await assertRejects(
      () => pass.step(batches, new DistilLoss(space, strangePass)),
      RangeError,
      "the teacher has 40 tokens, the student 35",
    );
    // What that step had recorded is gone.
    const { gradient } = parameters.get("model.transformer.ln_f.weight");
    parameters.clearGradients(space.recorder);
    const bytes = await space.readback.read(space.recorder, gradient!);
    assert(new Float32Array(bytes).every((value) => value === 0));
  });
});

Deno.test("a teacher or a student whose numbers are none makes a loss that is none", async () => {
  await withFolder(async (dir) => {
    await writeCheckpoint(dir, STUDENT, "no numbers");
    using space = new TrainingSpace(anyGpu);
    using parameters = TrainingParameters.load(anyGpu, dir);
    using broken = TrainingParameters.load(anyGpu, dir, { trains: () => false });
    const norm = "model.transformer.ln_f.weight";
    broken.set(norm, new Float32Array(32).fill(NaN));
    using pass = new TrainingPass(space, parameters);
    using brokenPass = new TrainingPass(space, broken);
    const batch = randomBatch([6, 3], 35, "no numbers");
    const taught = await pass.step([batch], new DistilLoss(space, brokenPass, { count: COUNT }));
    assert(Number.isNaN(taught.terms.loss), `${taught.terms.loss}`);
    const { terms } = await brokenPass.step([batch], new DistilLoss(space, pass, { count: COUNT }));
    assert(Number.isNaN(terms.loss), `${terms.loss}`);
    // One token's logit is none, and no row's target.
    const head = "model.transformer.ff_out.weight";
    const { readback, recorder } = space;
    const { layout, weight } = parameters.get(head);
    const values = await readParameter(readback, recorder, layout, weight);
    values.fill(NaN, 34 * 32, 35 * 32);
    parameters.set(head, values);
    const targets = batch.targets.map((token) => token % 34);
    const told = await pass.step([{ ...batch, targets }], CROSS_ENTROPY);
    assert(Number.isNaN(told.terms.loss), `${told.terms.loss}`);
  });
});
