/** The public API as a program that imports the package sees it. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { GpuError, GREEDY, load } from "../mod.ts";

const messages = [{ role: "user", content: "Hi! How are you?" }];

Deno.test("load, generate, encode, decode, forward, predict, topTokens", async () => {
  using model = await load();
  assertEquals(model.summary.id, "tiny-target");

  let shown = "";
  let text = "";
  for await (const event of model.generate({ messages })) {
    if (event.type === "step") shown += event.delta;
    if (event.type === "end") text = event.text;
  }
  assert(text.length > 0);
  assertEquals(shown, text);

  assertEquals(model.decode(model.encode("naïve ☕ text <|eot_id|>")), "naïve ☕ text <|eot_id|>");

  const prompt = model.encodeChat(messages);
  const ids = Uint32Array.from([...prompt, ...new Array(8).fill(2037)]);
  const { logits, hidden } = await model.forward(ids);
  assertEquals(logits.length, ids.length * 2048);
  assertEquals(hidden.get("embed")?.length, ids.length * 128);

  const positions = Uint32Array.of(prompt.length, prompt.length + 3);
  const [predictions] = await model.predict([{ ids, positions, choice: GREEDY }]);
  const top = await model.topTokens({ ids, positions }, 3);
  for (const [i, { token, position, logSumExp, logProbability }] of predictions.entries()) {
    const row = logits.subarray(position * 2048, (position + 1) * 2048);
    assertEquals(row.indexOf(Math.max(...row)), token);
    assertEquals(top[i].map((ranked) => ranked.logit), [...row].sort((a, b) => b - a).slice(0, 3));
    assertEquals(top[i][0].token, token);
    assert(Math.abs(top[i][0].logit - logSumExp - logProbability) < 1e-4);
  }
});

Deno.test("a provider without an adapter is refused with what to do", async () => {
  const provider = { requestAdapter: () => Promise.resolve(null) } as unknown as GPU;
  await assertRejects(() => load(undefined, { provider }), GpuError, "No GPU adapter");
});
