/** Memory of the host, which a software adapter's buffers lie in. */

/** What is left to the program itself and to others. */
const RESERVE = 512 * 2 ** 20;

/**
 * Bytes that buffers may take on a software adapter; undefined where the system does not tell or asking
 * is not permitted (it takes `--allow-sys=systemMemoryInfo`).
 */
export function freeHostBytes(): number | undefined {
  const { state } = Deno.permissions.querySync({ name: "sys", kind: "systemMemoryInfo" });
  // To ask without permission would prompt.
  if (state !== "granted") return undefined;
  const { available } = Deno.systemMemoryInfo();
  return available > 0 ? Math.max(0, available - RESERVE) : undefined;
}
