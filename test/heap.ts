/** What a test keeps in memory. */

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

/** Bytes of this thread's heap that are still reached. */
export async function heapInUse(): Promise<number> {
  // What a promise or a finaliser holds goes a turn later.
  for (let turn = 0; turn < 3; turn++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return Deno.memoryUsage().heapUsed;
}
