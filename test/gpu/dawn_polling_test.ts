import { assert, assertEquals } from "@std/assert";
import { patientImmediate } from "../../src/gpu/dawn_polling.ts";

/** Turns of a loop that polls for some milliseconds, and how late after them it came to an end. */
async function poll(immediate: typeof setImmediate, milliseconds: number) {
  const start = performance.now();
  let turns = 0;
  await new Promise<void>((resolve) => {
    const turn = () => {
      turns++;
      if (performance.now() - start >= milliseconds) resolve();
      else immediate(turn);
    };
    immediate(turn);
  });
  return { turns, late: performance.now() - start - milliseconds };
}

Deno.test("polling grows slower with the wait, and is never much late", async () => {
  const patient = patientImmediate(setImmediate);
  const short = await poll(patient, 5);
  const long = await poll(patient, 200);
  const hasty = await poll(setImmediate, 200);
  // 1.02 to the power of 200 is 52: the turns between a fiftieth of a wait and its end.
  assert(short.turns > 10, `${short.turns} turns in 5 ms`);
  assert(long.turns < 1500, `${long.turns} turns in 200 ms`);
  assert(hasty.turns > 4 * long.turns, `${hasty.turns} turns without pauses`);
  // Of at most 1 ms; the rest is for a busy machine.
  assert(long.late < 50, `${long.late} ms late`);
});

Deno.test("a callback that no other asked for comes at once, with its arguments", () => {
  const asked: (() => void)[] = [];
  const patient = patientImmediate(((callback: () => void) => asked.push(callback)) as never);
  const told: unknown[] = [];
  assertEquals(patient((...args) => told.push(...args), 1, "two"), 1 as never);
  asked[0]();
  assertEquals(told, [1, "two"]);

  let failed = false;
  patient(() => {
    throw new Error("a mistake");
  });
  try {
    asked[1]();
  } catch {
    failed = true;
  }
  assert(failed);
  // What failed has ended: the next is nobody's.
  const start = performance.now();
  for (let i = 0; i < 1000; i++) {
    patient(() => {});
    asked.at(-1)!();
  }
  assert(performance.now() - start < 500);
});
