/** The golden data, every case, in both forms of the kernels; and that a difference is noticed. */
import { assert, assertEquals } from "@std/assert";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parityCases } from "../../src/cli/parity.ts";
import { noDawnForm } from "../gpu/dawn.ts";
import { skipIf } from "../skip.ts";

const golden = fileURLToPath(new URL("../golden", import.meta.url));

async function failures(
  dir: string,
  options: Parameters<typeof parityCases>[1] = {},
): Promise<{ names: string[]; count: number }> {
  const names: string[] = [];
  let count = 0;
  for await (const { name, passed, detail } of parityCases(dir, options)) {
    count++;
    if (!passed) names.push(`${name}: ${detail}`);
  }
  return { names, count };
}

/** Forms of the kernels, by what a test's name says of them. */
const FORMS = {
  "": {},
  " without subgroups": { plain: true, rowForm: "exchanged" },
  " where rows are read at addresses that lanes share": { rowForm: "uniform" },
} as const;

for (const [said, form] of Object.entries(FORMS)) {
  Deno.test(`every golden case passes${said}`, async () => {
    const { names, count } = await failures(golden, form);
    assertEquals(names, []);
    assert(count >= 70, `only ${count} cases were found`);
  });
}

for (const form of ["matrix units", "subgroups", "plain"] as const) {
  Deno.test({
    ...skipIf(noDawnForm(form), `every golden case passes through Dawn, ${form}`),
    async fn() {
      const options = { provider: "dawn", plain: form === "plain" } as const;
      const matrixUnits = form === "matrix units";
      const { names, count } = await failures(golden, { ...options, matrixUnits });
      assertEquals(names, []);
      assert(count >= 70, `only ${count} cases were found`);
    },
  });
}

/** A copy of one checkpoint and its cases, changed by `change` on the way. */
async function changedCopy(
  change: (path: string, json: Record<string, unknown>) => void,
): Promise<string> {
  const dir = await Deno.makeTempDir();
  const checkpoint = join(dir, "checkpoints", "mha-f32");
  for (const folder of [checkpoint, join(dir, "forward"), join(dir, "sampling")]) {
    await Deno.mkdir(folder, { recursive: true });
  }
  for (const file of ["config.json", "model.safetensors"]) {
    await Deno.copyFile(join(golden, "checkpoints", "mha-f32", file), join(checkpoint, file));
  }
  const tensors = join("forward", "mha-f32.safetensors");
  await Deno.copyFile(join(golden, tensors), join(dir, tensors));
  for (
    const file of ["forward/mha-f32.json", "sampling/llada.json", "sampling/temperature.json"]
  ) {
    const json = JSON.parse(await Deno.readTextFile(join(golden, file)));
    if (file === "sampling/llada.json") {
      json.cases = json.cases.filter((c: { checkpoint: string; name: string }) =>
        c.checkpoint === "mha-f32" && ["uneven-schedule", "cfg-one-block"].includes(c.name)
      );
    }
    change(file, json);
    await Deno.writeTextFile(join(dir, file), JSON.stringify(json));
  }
  return dir;
}

type Log = { positions: number[]; tokens: number[]; confidence: number[] };
type Case = {
  nfe: number;
  final: number[][];
  log: { rows: Log[] }[];
};
const CHANGES: [string, string, (file: string, json: Record<string, unknown>) => void][] = [
  ["a token of a trajectory", "tokens", (file, json) => {
    if (file.includes("llada")) (json.cases as Case[])[0].log[2].rows[0].tokens[0] += 1;
  }],
  ["a position of a trajectory", "positions", (file, json) => {
    if (file.includes("llada")) (json.cases as Case[])[1].log[0].rows[0].positions[0] += 1;
  }],
  ["a forward count", "forwards", (file, json) => {
    if (file.includes("llada")) (json.cases as Case[])[0].nfe += 1;
  }],
  ["a confidence", "confidence off", (file, json) => {
    if (file.includes("llada")) (json.cases as Case[])[0].log[0].rows[0].confidence[0] += 1e-3;
  }],
  ["a hidden mean", "hidden", (file, json) => {
    type Forward = { hidden: { mean: number }[] };
    if (file.startsWith("forward")) (json.cases as Forward[])[1].hidden[2].mean += 1e-3;
  }],
  ["a prompt", "logits", (file, json) => {
    type Forward = { ids: number[] };
    if (file.startsWith("forward")) (json.cases as Forward[])[1].ids[0] ^= 1;
  }],
  ["a sampled token", "token", (file, json) => {
    type Temperature = { tokens: number[] };
    if (file.includes("temperature")) (json.cases as Temperature[])[0].tokens[0] += 1;
  }],
];
for (const [name, detail, change] of CHANGES) {
  Deno.test(`parity notices a changed record: ${name}`, async () => {
    const dir = await changedCopy(change);
    try {
      const { names } = await failures(dir);
      assertEquals(names.length, 1, names.join("\n"));
      assert(names[0].includes(detail), names[0]);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  });
}

Deno.test("a checkpoint that cannot be loaded fails its cases, not the others", async () => {
  const dir = await changedCopy((file, json) => {
    if (file.includes("llada")) {
      (json.cases as { checkpoint: string }[])[0].checkpoint = "missing-checkpoint";
    }
  });
  try {
    const { names, count } = await failures(dir);
    assertEquals(names.length, 1);
    assert(names[0].includes("missing-checkpoint"), names[0]);
    assert(count > 5);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
