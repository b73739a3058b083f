/** A kind of fault, and what every kind must leave behind: nothing that hangs, nothing that leaks, a right answer. */

import { ask, LightLoad, type LoadOutcome } from "./light_load.ts";
import type { ProcessFigures, ServedAs, ServedProcess } from "./served_process.ts";

/** Milliseconds within which everything must have ended once a fault is over. */
const SETTLED = 30_000;
/** Open files that a server may have more than before: it opens some when it first needs them. */
const MORE_FILES = 4;

/** How much of a fault. */
export type Size = "short" | "full";

/** One fault while it happens. */
export interface Happening {
  readonly server: ServedProcess;
  readonly size: Size;
  /** How many times. */
  readonly count: number;
  /** The same numbers, from 0 to 1, for the same seed. */
  readonly random: () => number;
  readonly seed: number;
  readonly load: LightLoad;
  /** Notes an outcome, and how long it took to come. */
  readonly tell: (outcome: string, milliseconds: number) => void;
  /** Notes what should not have happened. */
  readonly fail: (what: string) => void;
}

/** A kind of fault. */
export interface Fault {
  readonly kind: string;
  readonly server: ServedAs;
  readonly counts: Readonly<Record<Size, number>>;
  /** Codes of errors that other clients may be told meanwhile; by default none. */
  readonly told?: readonly string[];
  /** Open files that it leaves behind, where that cannot be helped; by default 0. */
  readonly leaves?: number;
  /** Clients that stream beside it; by default 3. */
  readonly clients?: number;
  readonly happen: (happening: Happening) => Promise<void>;
}

/** What came of a fault. */
export interface Outcome {
  readonly kind: string;
  readonly count: number;
  readonly outcomes: Readonly<Record<string, number>>;
  /** Milliseconds until the slowest of them. */
  readonly worst: number;
  /** What came of the clients beside it. */
  readonly load: LoadOutcome;
  /** Milliseconds of the next answer, once all was over. */
  readonly next: number;
  readonly files: readonly [before: number, after: number];
  /** Resident mebibytes. */
  readonly memory: readonly [before: number, most: number, after: number];
  readonly seconds: number;
  /** What should not have happened; empty when all is well. */
  readonly wrong: readonly string[];
}

/** Numbers from 0 to 1 that follow from a seed (Park and Miller's generator). */
export function numbersOf(seed: number): () => number {
  let state = 1 + seed % 2_147_483_646;
  return () => (state = state * 48_271 % 2_147_483_647) / 2_147_483_647;
}

/** Lets a fault happen to a server that clients use, and looks at what it leaves behind. */
export async function inflict(
  fault: Fault,
  server: ServedProcess,
  expected: readonly string[],
  { size, seed }: { readonly size: Size; readonly seed: number },
): Promise<Outcome> {
  const begun = performance.now();
  const outcomes: Record<string, number> = {};
  const wrong: string[] = [];
  let worst = 0;
  const count = fault.counts[size];
  const before = await server.figures();
  let most = before.memory;
  const load = new LightLoad(server, expected, fault.clients ?? 3, fault.told);
  const weighing = setInterval(async () => {
    const figures = await server.figures().catch(() => undefined);
    most = Math.max(most, figures?.memory || 0);
  }, 500);
  try {
    await fault.happen({
      server,
      size,
      count,
      random: numbersOf(seed),
      seed,
      load,
      tell(outcome, milliseconds) {
        outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
        worst = Math.max(worst, milliseconds);
      },
      fail: (what) => wrong.push(what),
    });
  } catch (error) {
    wrong.push(`the fault could not be made: ${(error as Error).stack}`);
  } finally {
    clearInterval(weighing);
  }
  const loaded = await load.stop();
  wrong.push(...loaded.wrong);
  const after = await settle(server, before, fault.leaves ?? 0, wrong).catch((error) => {
    wrong.push(`it does not tell how it is: ${(error as Error).message}`);
    return before;
  });
  const next = await ask(server.url, 0);
  if (next.text !== expected[0]) wrong.push(`the next answer: ${next.told} ${next.text}`);
  return {
    kind: fault.kind,
    count,
    outcomes,
    worst,
    load: loaded,
    next: next.milliseconds,
    files: [before.files, after.files],
    memory: [before.memory, Math.max(most, after.memory), after.memory],
    seconds: (performance.now() - begun) / 1000,
    wrong,
  };
}

/** Waits until nothing runs and all files are closed, as long as that may take. */
async function settle(
  server: ServedProcess,
  before: ProcessFigures,
  leaves: number,
  wrong: string[],
): Promise<ProcessFigures> {
  const end = performance.now() + SETTLED;
  const most = before.files + MORE_FILES + leaves;
  for (;;) {
    const { running, waiting, pages } = await server.requests();
    const figures = await server.figures();
    const isOver = running + waiting + pages === 0 && figures.files <= most;
    if (isOver) return figures;
    if (performance.now() > end) {
      wrong.push(
        `after ${SETTLED / 1000} s: ${running} running, ${waiting} waiting, ${pages} pages, ` +
          `${figures.files} files, ${before.files} before`,
      );
      return figures;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
