import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { confidenceOf } from "../../src/denoise/confidence.ts";
import { GREEDY } from "../../src/denoise/predictor.ts";
import type { ForwardFile } from "../../src/evaluate/parity/golden_files.ts";
import { goldenPath, readGolden } from "./golden.ts";
import { loadReference } from "./llada.ts";
import { readSafetensors } from "./read.ts";

/** The largest difference must not exceed the tolerance; NaN fails too. */
function assertClose(
  actual: Float64Array,
  expected: Float64Array,
  tolerance: number,
  what: string,
): void {
  assertEquals(actual.length, expected.length, `${what}: number of values`);
  const at = actual.findIndex((value, i) => !(Math.abs(value - expected[i]) <= tolerance));
  assert(
    at < 0,
    `${what}[${at}]: expected ${expected[at]} within ${tolerance}, found ${actual[at]}`,
  );
}

const names = [...Deno.readDirSync(goldenPath("forward"))]
  .map((entry) => entry.name)
  .filter((name) => name.endsWith(".json"))
  .sort();

Deno.test("every checkpoint has a forward file", () => {
  const checkpoints = [...Deno.readDirSync(goldenPath("checkpoints"))].map((entry) => entry.name);
  assertEquals(names, checkpoints.map((name) => `${name}.json`).sort());
});

for (const file of names) {
  const golden = readGolden<ForwardFile>(`forward/${file}`);
  const tensors = readSafetensors(goldenPath(`forward/${file.replace(".json", ".safetensors")}`));
  const model = loadReference(goldenPath(`checkpoints/${golden.checkpoint}`));
  const { tolerance, logit_columns: columns } = golden;

  for (const { name, ids, hidden, has_trace } of golden.cases) {
    Deno.test(`reference ${golden.checkpoint} ${name}: hidden states, logits, argmax`, () => {
      const forward = model.forward(ids);
      for (const expected of hidden) {
        const x = forward.hidden.get(expected.name)!;
        const mean = x.reduce((sum, value) => sum + value, 0) / x.length;
        const rms = Math.sqrt(x.reduce((sum, value) => sum + value ** 2, 0) / x.length);
        assertAlmostEquals(mean, expected.mean, tolerance.hidden_mean_abs, expected.name);
        assertAlmostEquals(
          rms / expected.rms,
          1,
          tolerance.hidden_rms_rel,
          `rms of ${expected.name}: expected ${expected.rms}, found ${rms}`,
        );
      }
      const traced = [...tensors.keys()].filter((key) => key.startsWith(`${name}.`))
        .map((key) => key.slice(name.length + 1))
        .filter((key) => !["logits", "argmax", "confidence"].includes(key));
      assertEquals(traced.length > 0, has_trace);
      for (const key of traced) {
        assertClose(
          forward.hidden.get(key)!,
          tensors.get(`${name}.${key}`)!.data,
          tolerance.logits_abs,
          key,
        );
      }
      const { logits } = forward;
      assertClose(logits, tensors.get(`${name}.logits`)!.data, tolerance.logits_abs, "logits");
      const argmax = tensors.get(`${name}.argmax`)!.data;
      const confidence = tensors.get(`${name}.confidence`)!.data;
      for (let t = 0; t < ids.length; t++) {
        const row = logits.subarray(t * columns, (t + 1) * columns);
        assertEquals(row.indexOf(Math.max(...row)), argmax[t], `argmax at ${t}`);
        assertAlmostEquals(
          confidenceOf(row, argmax[t], new Set()).confidence,
          confidence[t],
          tolerance.confidence_abs,
          `confidence at ${t}`,
        );
      }
    });
  }

  Deno.test(`reference ${golden.checkpoint}: padded batch, mask ignored and as key mask`, () => {
    const { ids, attention_mask } = golden.batch!;
    const ignored = tensors.get("batch.logits_mask_ignored")!.data;
    const masked = tensors.get("batch.logits_key_mask")!.data;
    ids.forEach((row, b) => {
      const size = row.length * columns;
      const own = (stored: Float64Array) => stored.subarray(b * size, (b + 1) * size);
      assertClose(model.forward(row).logits, own(ignored), tolerance.logits_abs, `ignored ${b}`);
      const pads = attention_mask[b].indexOf(1);
      const found = model.forward(row, attention_mask[b]).logits.subarray(pads * columns);
      assertClose(
        found,
        own(masked).subarray(pads * columns),
        tolerance.logits_abs,
        `key mask ${b}`,
      );
      // Rotation is relative, so a padded row is the same sequence alone.
      assertClose(found, model.forward(row.slice(pads)).logits, 1e-9, `unpadded ${b}`);
    });
  });

  Deno.test(`reference ${golden.checkpoint}: predict asks the same model as forward`, async () => {
    const { ids, attention_mask } = golden.batch!;
    const last = ids[0].length - 1;
    const predictions = await model.predict(ids.map((row, b) => ({
      ids: Uint32Array.from(row),
      attentionMask: Uint8Array.from(attention_mask[b]),
      positions: Uint32Array.of(last - 1, last),
      choice: GREEDY,
    })));
    ids.forEach((row, b) => {
      const { logits } = model.forward(row, attention_mask[b]);
      predictions[b].forEach((prediction, i) => {
        assertEquals(prediction.position, last - 1 + i);
        const at = logits.subarray(
          prediction.position * columns,
          (prediction.position + 1) * columns,
        );
        assertEquals(prediction.token, at.indexOf(Math.max(...at)));
      });
    });
  });
}
