/** Memory of the host, which a software adapter's buffers lie in. */

import type { Gpu } from "../../gpu/device.ts";

/** What is left to the program itself and to others. */
const RESERVE = 512 * 2 ** 20;

/**
 * Bytes that an adapter's buffers may take of the host's memory; undefined on hardware, and where the
 * system does not tell or asking is not permitted (it takes `--allow-sys=systemMemoryInfo`).
 */
export function freeHostBytes({ software }: Pick<Gpu, "software">): number | undefined {
  if (!software) return undefined;
  const { state } = Deno.permissions.querySync({ name: "sys", kind: "systemMemoryInfo" });
  // To ask without permission would prompt.
  if (state !== "granted") return undefined;
  const { available } = Deno.systemMemoryInfo();
  return available > 0 ? Math.max(0, available - RESERVE) : undefined;
}
