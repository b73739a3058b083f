/** `unmask tune`, and commands that use what it found. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { type TilePlan, tilePlans } from "../../src/kernels/weight_matrix.ts";
import type { TiledMatrix } from "../../src/model/tiles/tiled_matrix.ts";
import { tiledMatrices } from "../../src/model/tiles/layer_matrices.ts";
import {
  deviceKey,
  parseTunedTiles,
  type TunedTiles,
  UNTUNED,
  withEntry,
} from "../../src/model/tiles/tuned_tiles.ts";
import { dryRun } from "../../src/model/memory/dry_run.ts";
import { readConfig } from "../../src/model/loading/config.ts";
import { openCheckpoint } from "../../src/weights/checkpoint.ts";
import { ROW_FORMS } from "../../src/gpu/row_form.ts";
import { anyGpu } from "../gpu/device.ts";
import { TINY_TARGET } from "../model/models.ts";
import { goldenPath } from "../reference/golden.ts";
import { knownAnswer, runTask, unmask } from "./command.ts";

const CODE = knownAnswer("2026-000");
const MODEL = goldenPath("checkpoints/mha-f32");

/** No measurement. */
const MEASURED = { rows: [], gflopPerSecond: [], fixedGflopPerSecond: [] };

/** A tiling that the fixed rule does not choose, with other sums where there is one. */
function otherPlan({ kernel, blocks }: TiledMatrix): TilePlan {
  return tilePlans(kernel, blocks, anyGpu.rowForm).find(({ splits }) => splits > 1) ??
    { splits: 1, rowGroups: 1 };
}

async function withFolder(body: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await body(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("tune shows what every matrix gains, keeps it, and does not tune twice", () =>
  withFolder(async (dir) => {
    const file = join(dir, "cache", "tiles.json");
    const args = ["tune", "--model", MODEL, "--rows", "5,20", "--tuning", file];
    const { code, stdout, stderr } = await unmask(args);
    assertEquals(code, 0, stderr);
    assertMatch(stderr, /^tuning for .+: 100 % of 4 matrices$/m);
    assertMatch(stdout, /│ matrix .*│ fixed rule .*│ fastest .*│ GFLOP\/s, 5 \/ 20 rows/);
    assertMatch(stdout, /│ qkv, 64 -> 192 .*│ 16 rows /);
    assertMatch(
      stdout,
      /^\d of 4 matrices get other tiles than by the fixed rule; kept in .*tiles/m,
    );
    const text = await Deno.readTextFile(file);
    const { devices } = parseTunedTiles(text) as TunedTiles;
    assertEquals(Object.keys(devices), [deviceKey(anyGpu)]);
    assertEquals(Object.keys(devices[deviceKey(anyGpu)]).sort(), [
      "matmul, 160 -> 64, f32, f32 arithmetic",
      "matmul, 64 -> 64, f32, f32 arithmetic",
      "qkv, 64 -> 192, f32, f32 arithmetic",
      "swiglu, 64 -> 320, f32, f32 arithmetic",
    ]);
    const again = await unmask([...args, "--json"]);
    assertEquals([again.code, again.stderr], [0, ""]);
    const { adapter, tuned_before, tuned } = JSON.parse(again.stdout);
    assertEquals([adapter, tuned_before, tuned], [anyGpu.name, 4, []]);
    assertEquals(await Deno.readTextFile(file), text);
  }));

Deno.test("tune times the form that is asked for, and keeps one tuning for each", () =>
  withFolder(async (dir) => {
    const file = join(dir, "tiles.json");
    const tunedBefore: number[] = [];
    for (const form of [...ROW_FORMS, ...ROW_FORMS]) {
      const { code, stdout, stderr } = await unmask(
        [
          "tune",
          "--model",
          MODEL,
          "--rows",
          "5",
          "--tuning",
          file,
          "--kernel-form",
          form,
          "--json",
        ],
      );
      assertEquals(code, 0, stderr);
      tunedBefore.push(JSON.parse(stdout).tuned_before);
    }
    assertEquals(tunedBefore, [0, 0, 4, 4]);
    const { devices } = parseTunedTiles(await Deno.readTextFile(file)) as TunedTiles;
    const keys = ROW_FORMS.map((rowForm) => deviceKey({ ...anyGpu, rowForm }));
    assertEquals(Object.keys(devices).sort(), keys.sort());
    const shaders = (key: string) => Object.values(devices[key]).map(({ shader }) => shader);
    const [first, second] = keys.map(shaders);
    assertEquals(first.filter((shader) => second.includes(shader)), []);
  }));

Deno.test("tune does not replace a named file that holds something else", () =>
  withFolder(async (dir) => {
    const file = join(dir, "notes.json");
    await Deno.writeTextFile(file, "mine");
    const { code, stdout, stderr } = await unmask(["tune", "--model", MODEL, "--tuning", file]);
    assertEquals([code, stdout], [1, ""]);
    assertStringIncludes(stderr, `${file}: it is not JSON. Name another file, or replace it with`);
    assertEquals(await Deno.readTextFile(file), "mine");
  }));

Deno.test("with tuned tiles the recorded answers stay, and lossless is plain", () =>
  withFolder(async (dir) => {
    const file = join(dir, "tiles.json");
    const config = readConfig(TINY_TARGET);
    using checkpoint = openCheckpoint(TINY_TARGET);
    const { layers } = await dryRun(config, checkpoint, anyGpu);
    const tuned = tiledMatrices(anyGpu, layers).reduce(
      (all, matrix) => withEntry(all, anyGpu, matrix, { splits: 2, rowGroups: 2, ...MEASURED }),
      UNTUNED,
    );
    assertEquals(Object.keys(tuned.devices[deviceKey(anyGpu)]).length, 4);
    await Deno.writeTextFile(file, JSON.stringify(tuned));
    for (const strategy of ["plain", "lossless", "self"]) {
      const args = ["generate", CODE.prompt, "--strategy", strategy, "--tuning", file];
      const { code, stdout, stderr } = await unmask(args);
      assertEquals([code, stdout, stderr], [0, `${CODE.answer}\n`, ""], strategy);
    }
  }));

Deno.test("parity with tuned tiles: every golden case passes; a tuning that is not there is an error", () =>
  withFolder(async (dir) => {
    const file = join(dir, "tiles.json");
    let tuned = UNTUNED;
    for (const { name } of Deno.readDirSync(goldenPath("checkpoints"))) {
      const folder = goldenPath(`checkpoints/${name}`);
      using checkpoint = openCheckpoint(folder);
      const { layers } = await dryRun(readConfig(folder), checkpoint, anyGpu);
      for (const matrix of tiledMatrices(anyGpu, layers)) {
        tuned = withEntry(tuned, anyGpu, matrix, { ...otherPlan(matrix), ...MEASURED });
      }
    }
    const entries = Object.values(tuned.devices[deviceKey(anyGpu)]);
    assert(entries.some(({ splits }) => splits > 1), "no tiling changes the order of sums");
    await Deno.writeTextFile(file, JSON.stringify(tuned));
    const { code, stdout } = await unmask(["parity", goldenPath(""), "--tuning", file]);
    assertEquals(code, 0, stdout);
    // Confidences tell that sums were made in another order.
    const plain = await unmask(["parity", goldenPath("")]);
    const cases = (text: string) => text.split("\n").filter((line) => line.startsWith("ok "));
    assertEquals(cases(stdout).length, cases(plain.stdout).length);
    assert(cases(stdout).join() !== cases(plain.stdout).join(), "the tuning was not used");

    for (const command of [["parity", goldenPath("")], ["bench"], ["eval", "agreement"]]) {
      const args = [...command, "--tuning", join(dir, "none.json")];
      if (command[0] === "eval") args.push("--weights", "q8");
      const missing = command[0] === "bench"
        ? await runTask("bench", args.slice(1))
        : await unmask(args);
      assertEquals(missing.code, 1, missing.stdout);
      assertStringIncludes(missing.stderr, "none.json: it is missing. unmask tune --tuning FILE");
    }
  }));

Deno.test("--tune tunes on the first run only; what cannot be kept is no reason not to answer", () =>
  withFolder(async (dir) => {
    const file = join(dir, "cache", "tiles.json");
    const args = ["generate", CODE.prompt, "--no-draft", "--tune", "--tuning", file];
    const first = await unmask(args);
    assertEquals([first.code, first.stdout], [0, `${CODE.answer}\n`], first.stderr);
    assertMatch(first.stderr, /^tuning for .+: 100 % of 4 matrices$/m);
    assertMatch(
      first.stderr,
      /^\d of 4 matrices get other tiles than by the fixed rule; kept in /m,
    );
    const text = await Deno.readTextFile(file);
    const second = await unmask(args);
    assertEquals([second.code, second.stdout, second.stderr], [0, `${CODE.answer}\n`, ""]);
    assertEquals(await Deno.readTextFile(file), text);
    const blocked = await unmask([...args.slice(0, -1), join(file, "tiles.json")]);
    assertEquals([blocked.code, blocked.stdout], [0, `${CODE.answer}\n`]);
    assertMatch(blocked.stderr, /^Warning: not tuned: .*tiles\.json: it cannot be (read|written)/m);
    const both = await unmask(["generate", CODE.prompt, "--tune", "--no-tuning"]);
    assertEquals([both.code, both.stdout], [1, ""]);
    assertStringIncludes(both.stderr, "--tune and --no-tuning exclude each other");
  }));

Deno.test("a broken tuning is one warning, and the answer comes all the same", () =>
  withFolder(async (dir) => {
    const file = join(dir, "tiles.json");
    await Deno.writeTextFile(file, "{");
    const { code, stdout, stderr } = await unmask(["generate", CODE.prompt, "--tuning", file]);
    assertEquals([code, stdout], [0, `${CODE.answer}\n`]);
    assertEquals(stderr.split(file).length, 2, stderr);
    assertStringIncludes(stderr, `Warning: ${file}: it is not JSON`);
    const off = await unmask(["generate", CODE.prompt, "--no-tuning"]);
    assertEquals([off.code, off.stdout, off.stderr], [0, `${CODE.answer}\n`, ""]);
    assert((await Deno.readTextFile(file)) === "{");
  }));
