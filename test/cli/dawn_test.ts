/** The commands with `--gpu`, and Dawn's lock file. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { DAWN_PACKAGE } from "../../src/gpu/provider.ts";
import { dawnForms, noDawnForm } from "../gpu/dawn.ts";
import { skipIf } from "../skip.ts";
import { knownAnswer, runTask, unmask } from "./command.ts";

/** The embedded model's mask. */
const MASK = 2037;

const file = (path: string) => new URL(`../../${path}`, import.meta.url);

Deno.test("without the permission a command says which task has it", async () => {
  for (const gpu of ["dawn", "auto"]) {
    const { code, stdout, stderr } = await unmask(["generate", "Hello", "--gpu", gpu]);
    assertEquals([code, stdout], [1, ""]);
    assertMatch(stderr, /deno task dawn.*--allow-ffi.*--gpu native/);
  }
  const { code, stderr } = await unmask(["info", "--gpu", "cuda"]);
  assertEquals(code, 1);
  assertMatch(stderr, /native, dawn, auto/);
});

Deno.test("the task that may load Dawn has the command's permissions and one more", () => {
  const { unmask, dawn } = config.tasks;
  const fetching = `deno cache --quiet --frozen --lock=.lock/dawn.lock ${DAWN_PACKAGE}`;
  assertEquals(
    dawn.command,
    unmask.command
      .replace("--deny-import", '--deny-import --lock="$ROOT/.lock/dawn.lock" --allow-ffi')
      // Where it cannot be had, --gpu auto says why and goes on without it.
      .replace('"$PWD" &&', `"$PWD" && (${fetching} || true) &&`),
  );
  for (const [name, { command }] of Object.entries(config.tasks)) {
    assertEquals(/dawn\.lock/.test(command), name === "dawn", name);
    assertEquals(/test\.lock/.test(command), ["check", "test"].includes(name), name);
    assertEquals(/--allow-ffi/.test(command), ["dawn", "peers", "test"].includes(name), name);
  }
});

interface Lock {
  readonly specifiers: Record<string, string>;
  readonly npm: Record<string, unknown>;
}

Deno.test("Dawn's lock file is the other one and the package", () => {
  const [lock, dawn, tests] = ["deno.lock", ".lock/dawn.lock", ".lock/test.lock"]
    .map((path) => JSON.parse(Deno.readTextFileSync(file(path))) as Lock);
  const added = (key: keyof Lock) =>
    Object.keys(dawn[key]).filter((name) => !Object.hasOwn(lock[key], name));
  assertEquals(added("specifiers"), ["npm:webgpu@0.6.2"]);
  assertEquals(added("npm"), ["debug@4.4.3", "ms@2.1.3", "webgpu@0.6.2"]);
  for (const key of ["specifiers", "npm"] as const) {
    for (const name of Object.keys(lock[key])) assertEquals(dawn[key][name], lock[key][name]);
  }
  // Tests have packages of their own besides: clients.
  for (const name of Object.keys(dawn.specifiers)) {
    assert(Object.hasOwn(tests.specifiers, name), name);
  }
  assert(!JSON.stringify(lock).includes("webgpu@0.6"), "everyone would download Dawn");
});

for (const gpu of ["dawn", "auto"]) {
  Deno.test(`info --gpu ${gpu} says what computes, and why`, async () => {
    const { code, stdout, stderr } = await runTask("dawn", ["info", "--gpu", gpu, "--json"]);
    const { adapter, error } = JSON.parse(stdout);
    if (gpu === "dawn" && dawnForms.size === 0) {
      assertEquals([code, adapter], [1, null]);
      assertMatch(error, /--gpu native/);
      return;
    }
    assertEquals(code, 0, stderr);
    const chosen = gpu === "dawn" || dawnForms.has("matrix units");
    assertEquals(adapter.provider, chosen ? "Dawn" : `Deno ${Deno.version.deno}`);
    assertEquals(adapter.provider_reason === undefined, gpu === "dawn");
    assertEquals(adapter.matrix_units !== null, chosen && dawnForms.has("matrix units"));
  });
}

Deno.test("with --gpu auto a command says in one line whether Dawn computes, and why", async () => {
  const { code, stderr } = await runTask(
    "dawn",
    ["generate", "Hi", "--max-tokens", "4", "--strategy", "plain", "--gpu", "auto"],
  );
  assertEquals(code, 0, stderr);
  const lines = stderr.split("\n").filter((line) => line.startsWith("--gpu auto: "));
  assertEquals(lines.length, 1, stderr);
  const [chosen, why] = dawnForms.has("matrix units")
    ? ["Dawn", /its matrix units multiply \d+x\d+x\d+$/]
    : ["Deno's own WebGPU", /Dawn (on|found)/];
  assert(lines[0].startsWith(`--gpu auto: ${chosen} computes. Why: `), lines[0]);
  assertMatch(lines[0], why);
});

Deno.test({
  ...skipIf(noDawnForm("plain"), "an answer through Dawn, in a Worker, is the recorded one"),
  async fn() {
    const { prompt, answer, ids } = knownAnswer("2026-000");
    const { code, stdout, stderr } = await runTask(
      "dawn",
      ["generate", prompt, "--gpu", "dawn", "--strategy", "plain", "--json"],
    );
    assertEquals(code, 0, stderr);
    const found = JSON.parse(stdout);
    assertEquals(found.text, answer);
    // It stops where the text has ended: what follows stays masked.
    const decided = found.ids.indexOf(MASK);
    assert(decided >= 12, `only ${decided} tokens were decided`);
    assertEquals(found.ids.slice(0, decided), ids.slice(0, decided));
  },
});
