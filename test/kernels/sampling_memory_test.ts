import { assert } from "@std/assert";
import { QueueWait } from "../../src/gpu/mapping.ts";
import { Recorder } from "../../src/gpu/recorder.ts";
import { createTensor } from "../../src/gpu/tensor.ts";
import { logitCutoff } from "../../src/kernels/logit_cutoff.ts";
import { rankTokens } from "../../src/kernels/rank_tokens.ts";
import { topK } from "../../src/kernels/top_k.ts";
import { alone } from "../alone.ts";
import { anyGpu } from "../gpu/device.ts";

const [ROWS, COLUMNS, CALLS] = [64, 512, 100];
/** Bytes of the process that all calls may add. With a compilation in each it was 40 MB. */
const MOST_GROWTH = 12e6;

alone(import.meta.url, () => {
  Deno.test("kernels of sampling leave nothing with each call: no driver compiles them for parameters", async () => {
    using recorder = new Recorder(anyGpu);
    const tensor = (elements: number) => createTensor(anyGpu, "rows", elements);
    const logits = tensor(ROWS * COLUMNS);
    const [found, ranked] = [tensor(2 * 5 * ROWS), tensor(4 * 64 * ROWS)];
    const [cutoffs, positions, sums] = [tensor(ROWS), tensor(ROWS), tensor(4 * ROWS)];
    const size = { rows: ROWS, columns: COLUMNS };
    const noise = { temperature: 1, seed: 0, step: 0 };
    const wait = new QueueWait(anyGpu);
    const calls = async (name: string, record: () => void) => {
      const run = async (count: number) => {
        for (let i = 0; i < count; i++) record();
        recorder.submit();
        await wait.wait();
      };
      await run(20);
      const before = Deno.memoryUsage().rss;
      await run(CALLS);
      const grown = Deno.memoryUsage().rss - before;
      assert(grown < MOST_GROWTH, `${name}: ${(grown / 1e6).toFixed(1)} MB in ${CALLS} calls`);
    };
    await calls(
      "top_k",
      () => topK(recorder, logits, found, { ...size, k: 5, guidance: undefined }),
    );
    await calls("logit_cutoff", () => logitCutoff(recorder, logits, cutoffs, { ...size, topK: 9 }));
    await calls(
      "rank_tokens",
      () =>
        rankTokens(recorder, { raw: logits, logits, positions, ranked, sums }, {
          ...size,
          ...noise,
          k: 64,
        }),
    );
    for (const one of [logits, found, ranked, cutoffs, positions, sums]) one.destroy();
  });
});
