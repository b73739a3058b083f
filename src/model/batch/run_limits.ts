/**
 * What one run may ask, so that no mix of requests takes more memory than is planned: what asks for more
 * runs in groups, one after another, with the same bits.
 */

import type { Unit } from "./jobs.ts";

/** Passes between two readbacks. */
export const MOST_PASSES = 8;
/** Sequences of a run, unconditional twins included. */
export const MOST_SEQUENCES = 128;
/** Scales of guidance in a run, none included: each has a call of the head for itself. */
export const MOST_SCALES = 8;
/** Canvases of full length, with twins and keys, whose positions are listed in a run: of 16 answers, twice. */
const LISTED_CONTEXTS = 64;

/** Share of a context that may be run a second time, as shadows, beside all of it with its twin. */
const SHADOWED = 1 / 8;

/** What a run may ask. A canvas that asks for more by itself runs alone. */
export interface RunLimits {
  readonly rows: number;
  /** Rows that are asked for predictions behind a pass. */
  readonly entries: number;
  /** Words that list positions and keys. */
  readonly listed: number;
}

/**
 * The limits of a model whose memory is planned.
 * @param context most positions of a sequence
 * @param rows that requests share
 */
export function plannedLimits(context: number, rows: number): RunLimits {
  // An answer with guidance at the context length has two sequences.
  const widest = 2 * (context + Math.floor(SHADOWED * context));
  return { rows: Math.max(rows, widest), entries: rows, listed: LISTED_CONTEXTS * context };
}

/** What a unit asks. */
export interface UnitAsks {
  readonly rows: number;
  readonly borrowed: number;
  readonly entries: number;
  readonly listed: number;
  readonly sequences: number;
  readonly scale: number | undefined;
}

/** Finds what a unit asks. */
export function asksOf(unit: Unit): UnitAsks {
  const { rows, borrowed } = unit;
  if (unit.kind === "question") {
    const { asked, sequences, span, scale } = unit;
    const listed = sequences.reduce((sum, { ids }) => sum + ids.length + (span?.keys ?? 0), 0);
    const entries = asked.kind === "predictions" ? asked.rows.length : 0;
    return { rows, borrowed, entries, listed, sequences: sequences.length, scale };
  }
  const { canvas, steps } = unit;
  const candidates = steps.map((step) =>
    canvas.sequences.reduce((sum, _, sequence) => sum + canvas.candidates(sequence, step), 0)
  );
  const { all, scale } = canvas;
  const ids = all.reduce((sum, { ids }) => sum + ids.length, 0);
  const keeps = steps.some(({ cache }) => cache !== undefined);
  return {
    rows,
    borrowed,
    entries: Math.max(0, ...candidates),
    listed: keeps ? 2 * ids : ids,
    sequences: all.length,
    scale,
  };
}

/** A group of units that is being filled. */
interface OpenGroup<T> {
  rows: number;
  borrowed: number;
  entries: number;
  listed: number;
  sequences: number;
  readonly scales: Set<number | undefined>;
  readonly places: T[];
}

/**
 * Groups units for runs, each into the first group with room for it.
 * @param borrowed positions that states of a group may have for themselves
 */
export function groupUnits<T extends { readonly unit: Unit }>(
  places: readonly T[],
  limits: RunLimits,
  borrowed: number,
): T[][] {
  const groups: OpenGroup<T>[] = [];
  for (const place of places) {
    const asks = asksOf(place.unit);
    let group = groups.find((open) =>
      open.rows + asks.rows <= limits.rows &&
      open.entries + asks.entries <= limits.entries &&
      open.listed + asks.listed <= limits.listed &&
      open.sequences + asks.sequences <= MOST_SEQUENCES &&
      (open.scales.has(asks.scale) || open.scales.size < MOST_SCALES) &&
      (asks.borrowed === 0 || open.borrowed === 0 || open.borrowed + asks.borrowed <= borrowed)
    );
    if (!group) {
      const nothing = { rows: 0, borrowed: 0, entries: 0, listed: 0, sequences: 0 };
      groups.push(group = { ...nothing, scales: new Set(), places: [] });
    }
    group.rows += asks.rows;
    group.borrowed += asks.borrowed;
    group.entries += asks.entries;
    group.listed += asks.listed;
    group.sequences += asks.sequences;
    group.scales.add(asks.scale);
    group.places.push(place);
  }
  return groups.map(({ places }) => places);
}
