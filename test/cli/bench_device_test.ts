/** `unmask bench device` as a child process, and its picture. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { decode } from "fast-png";
import { join } from "node:path";
import type { DeviceReport } from "../../src/bench/device_report.ts";
import { layoutDevice } from "../../src/cli/device_picture.ts";
import { chosenRowForm } from "../../src/gpu/row_form.ts";
import { anyGpu } from "../gpu/device.ts";
import { Running, runTask, taskCommand } from "./command.ts";

Deno.test("bench device: the tables, all of it as JSON, and a picture of the times", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const [json, picture] = ["out.json", "out.png"].map((name) => join(dir, name));
    const { code, stdout, stderr } = await runTask("bench", [
      ...["device", "--like", "tiny-target", "--layers", "2", "--limit", "1", "--minutes", "2"],
      ...["--kernel-form", "uniform", "--json", json, "--picture", picture],
    ]);
    assertEquals(code, 0, stderr);
    for (
      const task of ["measuring acceptance", "loading tiny-target, q8", "timing tiny-target, q4"]
    ) {
      assertMatch(stderr, new RegExp(`^${task}: 100 % of `, "m"));
    }
    assertStringIncludes(stdout, anyGpu.name);
    assertMatch(stdout, /│ kernels +│ .* rows uniform: as was asked for/);
    assertMatch(stdout, /^ceilings: multiply-add [\d.]+ in f32, .*; copy [\d.]+ GB\/s/m);
    assertMatch(stdout, /│ stored, timed with 2 of 8 layers, scaled +│ 32 rows +│/);
    assertMatch(stdout, /^auto, exact, on that model here: most steps by \w+/m);
    assertMatch(stdout, /^auto, fast, at these costs: cache (dual|none), /m);

    const report: DeviceReport = JSON.parse(await Deno.readTextFile(json));
    assertEquals(report.adapter.name, anyGpu.name);
    assertEquals([report.adapter.kernelForm, report.adapter.kernelFormReason], [
      "uniform",
      chosenRowForm(anyGpu.software, "uniform").reason,
    ]);
    assert(!Number.isNaN(Date.parse(report.date)) && report.version !== "");
    assert(report.acceptance!.tokensPerForward > 1);
    assertMatch(report.acceptance!.source, /^measured here: tiny-target, 1 prompt, strategy thre/);
    assertEquals(report.auto.map(({ quality }) => quality), ["exact", "fast"]);
    assertEquals(report.schemes.map(({ passes }) => passes.length), [4, 4, 4]);
    assert(report.secondsSpent > 0 && report.secondsSpent < 120);

    const image = decode(await Deno.readFile(picture));
    const layout = layoutDevice(report);
    assertEquals([image.width, image.height], [layout.width, layout.height]);
    const colourAt = (x: number, y: number) =>
      [...image.data.subarray(3 * (y * image.width + x), 3 * (y * image.width + x) + 3)].join();
    for (const { left, top, width } of layout.bars) {
      // The upper edge of a bar is of the time alone; it ends where the time does.
      assertEquals(colourAt(left + width - 1, top + 1), "199,212,230");
      assertEquals(colourAt(left + width + 1, top + 1), "255,255,255");
    }
    const longest = Math.max(...layout.bars.map(({ width }) => width));
    const passes = report.schemes.flatMap(({ passes }) => passes);
    const most = Math.max(
      ...passes.flatMap((pass) => [pass.passMilliseconds, pass.floorMilliseconds]),
    );
    layout.bars.forEach(({ width, floorWidth }, i) => {
      const { passMilliseconds, floorMilliseconds } = passes[i];
      assert(Math.abs(width - 480 * passMilliseconds / most) <= 1);
      assert(Math.abs(floorWidth - 480 * floorMilliseconds / most) <= 1);
    });
    assert(longest <= 480);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("bench device: options that do not go together, and a folder that is none, say what to do", async () => {
  const cases: [string[], string][] = [
    [["models/tiny-target", "--like", "mid"], "name a folder or a shape, not both"],
    [["models/tiny-target", "--layers", "2"], "name a shape with --like"],
    [["--layers", "1"], "expected at least 2"],
    [["--minutes", "0"], "expected a number from 0.01 to 1440"],
    [["nowhere"], "nowhere/config.json"],
  ];
  for (const [args, message] of cases) {
    const { code, stderr } = await runTask("bench", ["device", ...args]);
    assertEquals(code, 1, args.join(" "));
    assertStringIncludes(stderr, message);
  }
});

Deno.test("bench device: Ctrl-C ends it, and leaves no file", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const files = ["--json", join(dir, "out.json"), "--picture", join(dir, "out.png")];
    const args = ["device", "--like", "tiny-target", "--limit", "1", ...files];
    await using running = new Running(taskCommand("bench", args));
    await running.stderr.match(/^timing tiny-target, stored: /m);
    running.kill("SIGINT");
    assertEquals(await running.end(), 130);
    assertEquals([...Deno.readDirSync(dir)], []);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
