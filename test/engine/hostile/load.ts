/** Loads the folder that the argument names; prints the error, seconds since the start and peak MB. */
import { load } from "../../../src/engine/load.ts";

let message: string | undefined;
try {
  (await load(Deno.args[0], { draft: false }))[Symbol.dispose]();
} catch (error) {
  message = (error as Error).message;
}
const seconds = performance.now() / 1000;
const [, peak] = /VmHWM:\s+(\d+)/.exec(Deno.readTextFileSync("/proc/self/status")) ?? [];
console.log(JSON.stringify({ message, seconds, peak: Number(peak) / 1024 }));
Deno.exit();
