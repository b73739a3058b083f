/** That `unmask parity` notices what differs in losses/distil; test/cli/parity_test.ts runs it unchanged. */

import { assert, assertEquals } from "@std/assert";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { distilCases, type DistilFile } from "../../../src/compress/parity/loss_cases.ts";
import { SafetensorsFile } from "../../../src/weights/safetensors.ts";
import { writeSafetensors } from "../../../src/weights/safetensors_writer.ts";
import { anyGpu } from "../../gpu/device.ts";

const golden = fileURLToPath(new URL("../../golden/losses/", import.meta.url));
const NAMES = ["distil.json", "distil.safetensors"] as const;

/** Runs the cases of a copy that `change` has changed; says what failed. */
async function failures(change: (dir: string) => void | Promise<void>): Promise<string[]> {
  const dir = await Deno.makeTempDir();
  try {
    const losses = join(dir, "losses");
    await Deno.mkdir(losses);
    for (const name of NAMES) {
      await Deno.writeFile(join(losses, name), await Deno.readFile(join(golden, name)));
    }
    await change(losses);
    const failed: string[] = [];
    let count = 0;
    for await (const { passed, detail } of distilCases(dir, anyGpu)) {
      count++;
      if (!passed) failed.push(detail);
    }
    assert(count > 1, `${count} cases`);
    return failed;
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

function changeValue(term: string, by: number): (dir: string) => void {
  return (dir) => {
    const path = join(dir, "distil.json");
    const json: DistilFile = JSON.parse(Deno.readTextFileSync(path));
    const values = json.cases[0].values as Record<string, number>;
    assert(term in values);
    values[term] *= 1 + by;
    Deno.writeTextFileSync(path, JSON.stringify(json));
  };
}

/** Changes a number of a tensor of the first case, in a row that is asked or in one that is not. */
function changeTensor(tensor: string, asked: boolean, by: number): (dir: string) => void {
  return (dir) => {
    const path = join(dir, "distil.safetensors");
    const bytes = Deno.readFileSync(path);
    using file = new SafetensorsFile(path);
    const view = new DataView(bytes.buffer);
    const masked = file.tensors.get("distil0.masked")!;
    const rows = bytes.subarray(masked.byteOffset, masked.byteOffset + masked.byteLength);
    const row = rows.indexOf(asked ? 1 : 0);
    assert(row >= 0);
    const { byteOffset, dtype, shape } = file.tensors.get(`distil0.${tensor}`)!;
    const at = byteOffset + 4 * (row * shape.at(-1)! + 1);
    if (dtype === "I32") view.setInt32(at, view.getInt32(at, true) + by, true);
    else view.setFloat32(at, view.getFloat32(at, true) + by, true);
    Deno.writeFileSync(path, bytes);
  };
}

Deno.test("the golden distillation losses and their gradients are those of the GPU", async () => {
  assertEquals(await failures(() => {}), []);
});

const CHANGES: readonly [string, string, (dir: string) => void][] = [
  ["a value", "values differ", changeValue("kl_teacher_student", 2e-5)],
  ["a total", "values differ", changeValue("total", -2e-5)],
  ["a slope", "gradients differ", changeTensor("grad.mse", true, 2e-6)],
  ["a slope of a row that is not asked", "gradients differ", changeTensor("grad.ce", false, 2e-6)],
  ["a token of the teacher's best", "the teacher's best", changeTensor("teacher_topk", true, 1)],
  ["a logit of the student", "values differ", changeTensor("student", true, 5)],
];
for (const [name, detail, change] of CHANGES) {
  Deno.test(`a changed distillation case is noticed: ${name}`, async () => {
    const failed = await failures(change);
    assertEquals(failed.length, 1, failed.join("\n"));
    assert(failed[0].includes(detail), failed[0]);
  });
}

Deno.test("logits of rows that are not asked have no part in the loss", async () => {
  assertEquals(await failures(changeTensor("student", false, 5)), []);
});

Deno.test("of the teacher's best token alone the divergence is 0, and so is its gradient", async () => {
  const files = async (dir: string) => {
    const floats = (numbers: readonly number[]) => ({
      dtype: "F32" as const,
      shape: [1, 1, numbers.length],
      bytes: new Uint8Array(Float32Array.from(numbers).buffer),
    });
    const best = new Uint8Array(Int32Array.of(0).buffer);
    await writeSafetensors(join(dir, "distil.safetensors"), [
      { name: "one.student", ...floats([0, 1, 2]) },
      { name: "one.teacher", ...floats([2, 0, 1]) },
      { name: "one.masked", dtype: "U8", shape: [1, 1], bytes: Uint8Array.of(1) },
      { name: "one.teacher_topk", dtype: "I32", shape: [1, 1, 1], bytes: best },
      { name: "one.grad.kl_student_teacher", ...floats([0, 0, 0]) },
      { name: "one.grad.kl_teacher_student", ...floats([0, 0, 0]) },
    ]);
    const values = { kl_student_teacher: 0, kl_teacher_student: 0 };
    const one = { name: "one", batch: 1, length: 1, vocab: 3, top_k: 1, values };
    const tolerance = { value_rel: 1e-5, grad_abs: 1e-6 };
    const weights = { ce: 0.5, kl: 0.3, mse: 0.2 };
    const json = { weights, tolerance, cases: [one, one] };
    Deno.writeTextFileSync(join(dir, "distil.json"), JSON.stringify(json));
  };
  assertEquals(await failures(files), []);
});
