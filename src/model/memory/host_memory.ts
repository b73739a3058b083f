/** Free memory of the host, where the buffers of a software adapter are allocated. */

import type { Gpu } from "../../gpu/device.ts";

/** Bytes left for this program and others. */
const RESERVE = 512 * 2 ** 20;

/**
 * Bytes of host memory that an adapter's buffers may take. Undefined on hardware, if the system
 * does not report it, or without `--allow-sys=systemMemoryInfo`.
 */
export function freeHostBytes({ software }: Pick<Gpu, "software">): number | undefined {
  if (!software) return undefined;
  const { state } = Deno.permissions.querySync({ name: "sys", kind: "systemMemoryInfo" });
  // Without permission the call would prompt, so the permission is checked first.
  if (state !== "granted") return undefined;
  const { available } = Deno.systemMemoryInfo();
  return available > 0 ? Math.max(0, available - RESERVE) : undefined;
}
