/**
 * Slows the polling of Dawn's Node binding. While it waits for the GPU it asks for one turn of the
 * event loop after the other with `setImmediate`, up to a million a second, and each makes a native
 * function whose removal takes Deno time in proportion to all that are left: an answer on a software
 * adapter took five times as long as the adapter did, and a core was busy all the while.
 */

/** A pause in proportion to the wait so far, so that a result is at most this much late. */
const PAUSE_SHARE = 0.02;
/** Milliseconds. */
const LONGEST_PAUSE = 1;
/** Milliseconds; a sleep takes about 0.06 longer than asked for. */
const SHORTEST_SLEEP = 0.1;

type Callback = (...args: unknown[]) => void;

const neverWoken = new Int32Array(new SharedArrayBuffer(4));

function pause(milliseconds: number): void {
  // Windows sleeps for 15 ms at least.
  if (milliseconds >= SHORTEST_SLEEP && Deno.build.os !== "windows") {
    Atomics.wait(neverWoken, 0, 0, milliseconds);
    return;
  }
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
}

/**
 * A `setImmediate` for who polls with it: a callback that was asked for by the callback before it
 * comes after a pause of 2% of the time since the first of them, 1 ms at most. Others come at once.
 */
export function patientImmediate(immediate: typeof setImmediate): typeof setImmediate {
  let started = 0;
  let inCallback = false;
  const patient = (callback: Callback, ...args: unknown[]) => {
    const again = inCallback;
    if (!again) started = performance.now();
    return immediate(() => {
      // Here, not before: what the callback before resolved has been told by now.
      if (again) pause(Math.min(PAUSE_SHARE * (performance.now() - started), LONGEST_PAUSE));
      inCallback = true;
      try {
        callback(...args);
      } finally {
        inCallback = false;
      }
    });
  };
  return patient as typeof setImmediate;
}

let slowed = false;

/** Has Dawn, which looks `setImmediate` up at every turn, poll patiently from now on. */
export function slowDawnPolling(): void {
  if (slowed) return;
  slowed = true;
  globalThis.setImmediate = patientImmediate(globalThis.setImmediate);
}
