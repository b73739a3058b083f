/** `unmask doctor` as a child process: where all is well, where nothing is, and on a narrow terminal. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import stringWidth from "string-width";
import type { Finding } from "../../src/cli/doctor/finding.ts";
import { inTerminal, unmask } from "./command.ts";
import { skipIf } from "../skip.ts";

interface Report {
  readonly ok: boolean;
  readonly findings: readonly Finding[];
}

const LOOKED_AT = [
  ...["program", "permissions", "host memory", "cache folder", "hub cache", "port"],
  ...["driver", "adapter", "computing", "f16", "subgroups", "timestamps", "limits", "GPU memory"],
  ...["Dawn", "models", "model", "tuning"],
];

async function doctor(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Report & { readonly code: number }> {
  const { code, stdout, stderr } = await unmask(["doctor", "--json", ...args], { env });
  assertEquals(stderr.trim(), "", stderr);
  return { code, ...JSON.parse(stdout) };
}

const found = ({ findings }: Report, what: string) => findings.find((one) => one.what === what)!;

Deno.test("doctor looks at everything, and finds no problem on a machine that passes the tests", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  try {
    const { port } = listener.addr as Deno.NetAddr;
    const report = await doctor(["--port", `${port}`]);
    assertEquals([report.code, report.ok], [0, true], JSON.stringify(report));
    assertEquals(
      report.findings.map(({ what }) => what).filter((what) => what !== "matrix units"),
      LOOKED_AT,
    );
    for (const { state, advice } of report.findings) {
      assertEquals(advice !== undefined, state !== "ok");
    }
    assertEquals(found(report, "port").state, "warning");
    assertMatch(found(report, "model").found, /^tiny-target is whole/);
    assertMatch(found(report, "permissions").found, /^all/);
  } finally {
    listener.close();
  }
});

Deno.test("doctor works without an adapter, says what to do, and exits with 1", async () => {
  const report = await doctor(["--model", "/nowhere"], { DENO_WEBGPU_BACKEND: "none" });
  assertEquals([report.code, report.ok], [1, false]);
  const { state, advice } = found(report, "adapter");
  assertEquals(state, "problem");
  assertMatch(advice!, /Unset DENO_WEBGPU_BACKEND/);
  const model = found(report, "model");
  assertEquals(model.state, "problem");
  assertMatch(model.found, /There is no folder \/nowhere/);
});

Deno.test({
  ...skipIf(
    Deno.build.os === "linux" ? undefined : "only Linux reads this variable",
    "doctor names the packages of each system where drivers find nothing",
  ),
  async fn() {
    const report = await doctor([], { VK_DRIVER_FILES: "/nowhere", VK_ICD_FILENAMES: "/nowhere" });
    assertEquals(report.code, 1);
    const { found: what, advice } = found(report, "adapter");
    assertMatch(what, /^none/);
    for (const command of ["apt-get install", "dnf install", "pacman -S"]) {
      assert(advice!.includes(command), advice);
    }
    // The folder is looked at all the same.
    assertMatch(found(report, "model").found, /^tiny-target is whole/);
  },
});

Deno.test("doctor lists the models in the hub cache", async () => {
  const home = await Deno.makeTempDir();
  try {
    for (const name of ["models--GSAI-ML--LLaDA-8B-Instruct", "datasets--a--b", "version.txt"]) {
      await Deno.mkdir(`${home}/hub/${name}`, { recursive: true });
    }
    const report = await doctor([], { HF_HOME: home });
    const { found: what } = found(report, "models");
    assertEquals(what, "the embedded pair; GSAI-ML/LLaDA-8B-Instruct (incomplete)");
  } finally {
    await Deno.remove(home, { recursive: true });
  }
});

Deno.test("doctor tells of a model that is not fetched, beside all else", async () => {
  const report = await doctor(["--model", "org/not-fetched"]);
  assertEquals([report.code, report.ok], [1, false]);
  const { state, found: what } = found(report, "model");
  assertEquals(state, "problem");
  assertMatch(what, /Fetch it: unmask pull org\/not-fetched$/);
  assertEquals(found(report, "adapter").state === "problem", false);
});

Deno.test("doctor refuses an adapter that is not there, and lists those that are", async () => {
  const report = await doctor(["--adapter", "Voodoo 2"]);
  assertEquals(report.code, 1);
  const { found: what, advice } = found(report, "adapter");
  assertMatch(what, /Voodoo 2: there is no such adapter/);
  assertMatch(advice!, /0: \S/);
});

Deno.test("doctor's table fits a terminal of 60 columns", async () => {
  await using command = inTerminal(["doctor"], { columns: 60 });
  await command.end();
  const { text } = command.stdout;
  const lines = text.slice(text.indexOf("┌"), text.indexOf("exit code")).split(/\r*\n/);
  assert(lines.length > LOOKED_AT.length, text);
  for (const line of lines) assert(stringWidth(line) <= 60, line);
});
