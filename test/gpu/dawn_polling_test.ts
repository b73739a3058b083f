import { assert, assertEquals } from "@std/assert";
import { patientImmediate } from "../../src/gpu/dawn_polling.ts";
import { StoppedClock } from "../stopped_clock.ts";

/** A clock on which a look takes 0.01 ms, and a sleep as long as was asked for. */
function slept(): Disposable {
  using stack = new DisposableStack();
  const clock = stack.use(new StoppedClock(0.01));
  const { wait } = Atomics;
  stack.defer(() => void (Atomics.wait = wait));
  Atomics.wait = ((_array: unknown, _index: number, _value: number, milliseconds: number) => {
    clock.pass(milliseconds);
    return "timed-out";
  }) as typeof wait;
  return stack.move();
}

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
  using _ = slept();
  const patient = patientImmediate(setImmediate);
  const short = await poll(patient, 5);
  const long = await poll(patient, 200);
  const hasty = await poll(setImmediate, 200);
  // 1.02 to the power of 200 is 52: the turns between a fiftieth of a wait and its end.
  assert(short.turns > 10, `${short.turns} turns in 5 ms`);
  assert(long.turns < 1500, `${long.turns} turns in 200 ms`);
  assert(hasty.turns > 4 * long.turns, `${hasty.turns} turns without pauses`);
  assert(long.late < 1.1, `${long.late} ms late`);
});

Deno.test("a callback that no other asked for comes at once, with its arguments", () => {
  using _ = slept();
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
