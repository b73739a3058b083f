import { assertEquals } from "@std/assert";
import { LaneLogits } from "../../../src/engine/batching/lane_logits.ts";
import { Scheduler } from "../../../src/engine/batching/scheduler.ts";
import { GREEDY } from "../../../src/denoise/predictor.ts";
import { GpuMemoryError } from "../../../src/model/model.ts";
import { ToyBatchModel } from "./toy_batch_model.ts";

Deno.test("what was ranked is read from the device, or ranked again where others came between", async () => {
  const target = new ToyBatchModel();
  const scheduler = new Scheduler({ target }, { maxRunning: 2, maxWaiting: 0 });
  const [own, other] = [scheduler.visit(), scheduler.visit()];
  const asked: string[] = [];
  let last = -1;
  let fails = 0;
  const model = {
    logitsAt: () => Promise.resolve(new Float32Array()),
    rankAt: ({ positions: [position] }: { positions: Uint32Array }) => {
      asked.push(`rank ${last = position}`);
      return Promise.resolve([]);
    },
    firstLogits: () => {
      asked.push("first");
      if (fails-- > 0) return Promise.reject(new GpuMemoryError("no room"));
      return Promise.resolve(Float32Array.of(last));
    },
  };
  const source = new LaneLogits(model, own, scheduler);
  const foreign = new LaneLogits(model, other, scheduler);
  const choice = { temperature: 0, seed: 1, step: 0 };
  const ids = Uint32Array.of(1, 2, 3);
  const rank = (logits: LaneLogits, position: number) =>
    logits.rankAt({ ids, positions: Uint32Array.of(position) }, choice, 4);
  await rank(source, 1);
  assertEquals([...await source.firstLogits()], [1]);
  assertEquals(asked.splice(0), ["rank 1", "first"]);
  await rank(source, 1);
  await rank(foreign, 2);
  assertEquals([...await source.firstLogits()], [1]);
  assertEquals(asked.splice(0), ["rank 1", "rank 2", "rank 1", "first"]);
  await rank(source, 2);
  await other.target.predict([{ ids, positions: Uint32Array.of(0), choice: GREEDY }]);
  assertEquals([...await source.firstLogits()], [2]);
  assertEquals(asked.splice(0), ["rank 2", "rank 2", "first"]);
  // With the memory of passes what was ranked is gone.
  await rank(source, 3);
  fails = 1;
  assertEquals([...await source.firstLogits()], [3]);
  assertEquals(asked, ["rank 3", "first", "rank 3", "first"]);
  own.close();
  other.close();
});
