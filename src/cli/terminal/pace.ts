/** How fast bytes come, and how long the rest will take. */

import { gigabytes } from "../../weights/disk_space.ts";

/** Milliseconds that the rate looks back. */
const WINDOW = 10_000;
/** Milliseconds between two moments that are kept. */
const GRAIN = 250;

/** The pace of a transfer. */
export class Pace {
  readonly #now: () => number;
  readonly #seen: { readonly at: number; readonly bytes: number }[] = [];

  /** @param now milliseconds, for tests */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Text such as `, 45.3 MB/s, 5 min left`; empty until there is something to tell. */
  told(done: number, total: number): string {
    const at = this.#now();
    const last = this.#seen.at(-1);
    if (!last || at - last.at >= GRAIN) this.#seen.push({ at, bytes: done });
    while (this.#seen.length > 2 && at - this.#seen[1].at > WINDOW) this.#seen.shift();
    const [first] = this.#seen;
    const rate = 1000 * (done - first.bytes) / (at - first.at);
    if (!(rate > 0) || at - first.at < GRAIN) return "";
    const left = done < total ? `, ${duration((total - done) / rate)} left` : "";
    return `, ${gigabytes(rate)}/s${left}`;
  }
}

/** Formats seconds: `40 s`, `5 min`, `2 h 10 min`. */
export function duration(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
