import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import type { ForwardFile } from "../../src/evaluate/parity/golden_files.ts";
import { GREEDY } from "../../src/denoise/predictor.ts";
import { allForms } from "../gpu/device.ts";
import { goldenPath, readGolden } from "../reference/golden.ts";
import { readSafetensors } from "../reference/read.ts";
import { goldenModel } from "./models.ts";

/** The largest difference must not exceed the tolerance; NaN fails too. */
function assertClose(
  found: Float32Array,
  expected: Float64Array,
  tolerance: number,
  what: string,
): void {
  assertEquals(found.length, expected.length, `${what}: number of values`);
  const at = found.findIndex((value, i) => !(Math.abs(value - expected[i]) <= tolerance));
  assert(at < 0, `${what}[${at}]: expected ${expected[at]} +- ${tolerance}, found ${found[at]}`);
}

const names = [...Deno.readDirSync(goldenPath("forward"))].map(({ name }) => name)
  .filter((name) => name.endsWith(".json")).map((name) => name.replace(".json", "")).sort();

for (const name of names) {
  const golden = readGolden<ForwardFile>(`forward/${name}.json`);
  const tensors = readSafetensors(goldenPath(`forward/${name}.safetensors`));
  const { tolerance, logit_columns: columns } = golden;
  const stored = (tensor: string) => tensors.get(tensor)!.data;

  for (const [form, gpu] of allForms) {
    for (const { name: label, ids, hidden, length } of golden.cases) {
      Deno.test(`${name} ${label}, ${form}: hidden states, logits, predictions`, async () => {
        const model = await goldenModel(gpu, golden.checkpoint);
        const input = Uint32Array.from(ids);
        const forward = await model.forward(input);
        assertEquals(forward.positions, Uint32Array.from({ length }, (_, i) => i));
        assertEquals(
          hidden.filter(({ name }) => !forward.hidden.has(name)).map(({ name }) => name),
          [],
        );
        for (const { name, mean, rms } of hidden) {
          const x = forward.hidden.get(name)!;
          const sum = x.reduce((sum, value) => sum + value, 0);
          const squares = x.reduce((sum, value) => sum + value ** 2, 0);
          assertAlmostEquals(sum / x.length, mean, tolerance.hidden_mean_abs, `mean of ${name}`);
          const ratio = Math.sqrt(squares / x.length) / rms;
          assertAlmostEquals(ratio, 1, tolerance.hidden_rms_rel, `rms of ${name}: ${ratio}`);
        }
        assertClose(forward.logits, stored(`${label}.logits`), tolerance.logits_abs, "logits");

        const [predictions] = await model.predict([
          { ids: input, positions: forward.positions, choice: GREEDY },
        ]);
        assertEquals(
          predictions.map(({ token }) => token),
          [...stored(`${label}.argmax`)],
        );
        assertClose(
          Float32Array.from(predictions, ({ confidence }) => confidence),
          stored(`${label}.confidence`),
          tolerance.confidence_abs,
          "confidence",
        );
      });
    }

    Deno.test(`${name} padded batch, ${form}: the mask as key mask, and without it`, async () => {
      const model = await goldenModel(gpu, golden.checkpoint);
      const { ids, attention_mask } = golden.batch!;
      const size = ids[0].length * columns;
      const batch = ids.map((row, b) => {
        const attentionMask = Uint8Array.from(attention_mask[b]);
        const visible = Uint32Array.from(attentionMask.keys()).filter((i) => attentionMask[i]);
        return { ids: Uint32Array.from(row), attentionMask, positions: visible, choice: GREEDY };
      });
      const predictions = await model.predict(batch);
      for (const [b, { ids, attentionMask, positions }] of batch.entries()) {
        const own = (tensor: string) => stored(tensor).subarray(b * size, (b + 1) * size);
        const plain = await model.forward(ids);
        const ignored = own("batch.logits_mask_ignored");
        assertClose(plain.logits, ignored, tolerance.logits_abs, `ignored ${b}`);

        const masked = await model.forward(ids, { attentionMask });
        assertEquals(masked.positions, positions);
        const expected = own("batch.logits_key_mask").subarray(positions[0] * columns);
        assertClose(masked.logits, expected, tolerance.logits_abs, `key mask ${b}`);
        for (const [i, { position, token, logSumExp, confidence }] of predictions[b].entries()) {
          const row = expected.subarray(i * columns, (i + 1) * columns);
          const best = row.indexOf(Math.max(...row));
          assertEquals([position, token], [positions[i], best], `sequence ${b}, row ${i}`);
          const sum = row.reduce((sum, logit) => sum + Math.exp(logit - row[best]), 0);
          assertAlmostEquals(logSumExp, row[best] + Math.log(sum), 2 * tolerance.logits_abs);
          assertAlmostEquals(confidence, 1 / sum, tolerance.confidence_abs);
        }
      }
    });
  }
}
