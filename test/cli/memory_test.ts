/** `--gpu-memory` and what goes with it, as users give it. */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { knownAnswer, unmask } from "./command.ts";

const { prompt, answer } = knownAnswer("2026-006");

Deno.test("a small --gpu-memory: what is chosen is said, and the answer comes", async () => {
  const { code, stdout, stderr } = await unmask(["generate", prompt, "--gpu-memory", "21MB"]);
  assertEquals([code, stdout.trim()], [0, answer]);
  assertMatch(
    stderr,
    /^GPU memory: tiny-target .* and tiny-draft in q4 .* of 20\.0 MiB allowed\.$/m,
  );
});

Deno.test("too small a --gpu-memory: by how much, what would fit, and exit code 1", async () => {
  const args = ["generate", prompt, "--gpu-memory", "9MB"];
  const { code, stdout, stderr } = await unmask(args);
  assertEquals([code, stdout], [1, ""]);
  const [, tokens] = /more than --gpu-memory of 8\.6 MiB.* --context (\d+)\.$/m.exec(stderr)!;
  const shorter = await unmask([...args, "--context", tokens, "--max-tokens", "32"]);
  assertEquals(shorter.code, 0, shorter.stderr);
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
  const { code, stdout } = await unmask(["info", "--gpu-memory", "25MB", "--json"]);
  assertEquals(code, 0);
  const { plan } = JSON.parse(stdout);
  assertEquals([plan.draft.weights, plan.limit_bytes, plan.context_tokens], ["q4", 25e6, 512]);
  const { weight_bytes, activation_bytes, cache_bytes } = plan.target;
  assertEquals(
    plan.bytes,
    weight_bytes + activation_bytes + cache_bytes + plan.draft.weight_bytes +
      plan.draft.activation_bytes,
  );
  const table = await unmask(["info", "--gpu-memory", "25MB"]);
  assertMatch(table.stdout, /most at any time .* 23\.8 MiB/);
  const small = await unmask(["info", "--gpu-memory", "1MB"]);
  assertMatch(small.stdout, /memory plan .* more than --gpu-memory of 976\.6 KiB/);
});
