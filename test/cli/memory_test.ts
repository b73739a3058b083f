/** `--gpu-memory` and what goes with it, as users give it. */

import { assertAlmostEquals, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { elements } from "../gpu/device.ts";
import { knownAnswer, unmask } from "./command.ts";

const { prompt, answer } = knownAnswer("2026-006");

Deno.test("a small --gpu-memory: what is chosen is said, and the answer comes", async () => {
  const { code, stdout, stderr } = await unmask(["generate", prompt, "--gpu-memory", "21MB"]);
  assertEquals([code, stdout.trim()], [0, answer]);
  assertMatch(
    stderr,
    /^GPU memory: tiny-target .* and tiny-draft in q4 .* of 20\.0 MiB allowed\. /m,
  );
});

Deno.test("too small a --gpu-memory: by how much, what would fit, and exit code 1", async () => {
  const args = ["generate", prompt, "--gpu-memory", "12MB"];
  const { code, stdout, stderr } = await unmask([...args, "--context", "512"]);
  assertEquals([code, stdout], [1, ""]);
  const [, tokens] = /more than --gpu-memory of 11\.4 MiB.* --context (\d+)\.$/m.exec(stderr)!;
  const shorter = await unmask([...args, "--context", tokens, "--max-tokens", "32"]);
  assertEquals(shorter.code, 0, shorter.stderr);
});

Deno.test("where no context is named, the longest that fits is taken, and said", async () => {
  const { code, stderr } = await unmask(["generate", prompt, "--gpu-memory", "14MB"]);
  assertEquals(code, 0, stderr);
  assertMatch(stderr, /^GPU memory: .* at \d+ tokens of context \(512 do not fit\) take at most /m);
});

Deno.test("weights, arithmetic and context as they are asked for", async () => {
  const options = ["--weights", "q8", "--no-draft", "--arithmetic", "int8", "--context", "128"];
  const { code, stdout, stderr } = await unmask(["generate", prompt, ...options]);
  assertEquals([code, stdout.trim()], [0, answer]);
  assertMatch(stderr, /^GPU memory: tiny-target in q8 at 128 tokens of context take /m);
  const long = await unmask(["generate", prompt, ...options, "--max-tokens", "128"]);
  assertEquals(long.code, 1);
  assertStringIncludes(long.stderr, "more than the model's 128");
});

Deno.test("info shows the plan, or why there is none", async () => {
  const asked = ["info", "--gpu-memory", "29MB", "--kv-cache", "f32"];
  const { code, stdout } = await unmask([...asked, "--json"]);
  assertEquals(code, 0);
  const { plan } = JSON.parse(stdout);
  assertEquals([plan.draft.weights, plan.limit_bytes, plan.context_tokens], ["q8", 29e6, 512]);
  const { weight_bytes, activation_bytes, cache_bytes } = plan.target;
  assertEquals(
    plan.bytes,
    weight_bytes + activation_bytes + cache_bytes + plan.draft.weight_bytes +
      plan.draft.activation_bytes + plan.draft.cache_bytes,
  );
  const table = await unmask(asked);
  assertMatch(table.stdout, /most at any time .* 26\.6 MiB/);
  assertMatch(table.stdout, /kept keys and values, f32 .* 4\.3 MiB/);
  const small = await unmask(["info", "--gpu-memory", "1MB"]);
  assertMatch(small.stdout, /memory plan .* more than --gpu-memory of 976\.6 KiB/);
});

Deno.test("keys and values take half in f16, which is the default where the adapter has it", async () => {
  const info = async (...args: string[]) => {
    const { code, stdout } = await unmask(["info", "--json", ...args]);
    assertEquals(code, 0);
    return JSON.parse(stdout);
  };
  const { plan: f32 } = await info("--kv-cache", "f32");
  const { plan, adapter, model } = await info();
  const hasF16 = adapter.features["shader-f16"];
  assertEquals([f32.kv_cache, plan.kv_cache], ["f32", hasF16 ? "f16" : "f32"]);
  const { layers, kvHeads, headDim } = model.config;
  // Those of the context, and of a state of one block, which has a page of 32 positions.
  const half = (plan.context_tokens + 32) * 2 * layers * kvHeads * headDim * 2;
  assertEquals(f32.target.cache_bytes - plan.target.cache_bytes, hasF16 ? half : 0);
  const { plan: f16 } = await info("--kv-cache", "f16");
  if (hasF16) assertEquals([f16.kv_cache, f16.target], ["f16", plan.target]);
  else assertMatch(f16.error, /no shader-f16\. Keep them in f32 \(--kv-cache f32\)/);
});

Deno.test("an answer with a cache plans, and keeps, what --kv-cache says", async () => {
  const answers = async (...args: string[]) => {
    const asked = ["generate", prompt, "--no-draft", "--cache", "dual", "--gpu-memory", "40MB"];
    const { code, stdout, stderr } = await unmask([...asked, ...args]);
    assertEquals([code, stdout.trim()], [0, answer]);
    return Number(/take at most ([\d.]+) MiB/.exec(stderr)![1]);
  };
  const [f32, byDefault] = [await answers("--kv-cache", "f32"), await answers()];
  assertAlmostEquals(f32 - byDefault, elements.includes("f16") ? 2.125 : 0, 0.11);
  const { code, stderr } = await unmask(["generate", prompt, "--kv-cache", "f8"]);
  assertEquals(code, 1);
  assertStringIncludes(stderr, "Allowed choices are f32, f16");
});
