/** The rows of every pass of a run, and the lists by which kernels find them. */

import type { CanvasKeys } from "./canvas_keys.ts";
import type { Unit } from "./jobs.ts";
import {
  isPlain,
  layoutPass,
  type PassLayout,
  type PassPart,
  placesOf,
  type RunPlaces,
  type RunSequence,
} from "./pass_layout.ts";

/** One pass of a run. */
export interface LaidPass {
  readonly layout: PassLayout;
  /** Number of the layout: passes over the same rows have the same. */
  readonly number: number;
  /** Of each unit, the part that is its first; undefined if it has none in this pass. */
  readonly parts: readonly (number | undefined)[];
}

/** Where the lists of a layout begin, in the lists of a run. */
export interface LayoutLists {
  readonly layout: PassLayout;
  /** Undefined for a layout whose rows are the run's ids in order: it needs none. */
  readonly first: number | undefined;
}

/** A run, laid out. */
export interface RunLayout {
  /** Tokens of all sequences, end to end. */
  readonly ids: Uint32Array<ArrayBuffer>;
  readonly places: RunPlaces;
  /** Of each unit, the sequence that is its first; its others follow, a twin behind its sequence. */
  readonly firstSequences: readonly number[];
  readonly passes: readonly LaidPass[];
  readonly layouts: readonly LayoutLists[];
  /**
   * Positions of all tokens; rows of keys of all sequences; and of each layout its rows' positions,
   * entries of `ids`, and rows to which keys and values are written.
   */
  readonly lists: Uint32Array<ArrayBuffer>;
}

/** Lays units out, in `passes` passes at most. */
export function layRun(units: readonly Unit[], passes: number, keys: CanvasKeys): RunLayout {
  const sequences: RunSequence[] = [];
  const firstSequences = units.map((unit) => {
    const first = sequences.length;
    sequences.push(...sequencesOf(unit, passes, keys));
    return first;
  });
  const places = placesOf(sequences);
  const count = Math.max(
    0,
    ...units.map((unit) => unit.kind === "steps" ? Math.min(passes, unit.steps.length) : 1),
  );
  const known = new Map<string, { layout: PassLayout; number: number }>();
  const laid = Array.from({ length: count }, (_, pass): LaidPass => {
    const parts: PassPart[] = [];
    const firsts = units.map((unit, i) => {
      const own = partsOf(unit, pass, firstSequences[i]);
      if (own.length === 0) return undefined;
      return parts.push(...own) - own.length;
    });
    const key = parts.map(({ sequence, first, rows, keys, kept }) =>
      [sequence, first, rows, keys, kept].join()
    ).join(";");
    let found = known.get(key);
    if (!found) {
      found = { layout: layoutPass(sequences, places, parts), number: known.size };
      known.set(key, found);
    }
    return { ...found, parts: firsts };
  });
  const ids = joined(sequences.map(({ ids }) => ids));
  const lists: Uint32Array[] = [
    ...sequences.map(({ positions }) => positions),
    ...sequences.map(({ keyRows }) => keyRows ?? new Uint32Array()),
  ];
  const positions = joined(sequences.map(({ positions }) => positions));
  let end = lists.reduce((sum, { length }) => sum + length, 0);
  const layouts = [...known.values()].map(({ layout }): LayoutLists => {
    if (isPlain(layout, ids.length)) return { layout, first: undefined };
    const first = end;
    lists.push(layout.rowIds.map((id) => positions[id]), layout.rowIds, layout.writeRows);
    end += 3 * layout.rows;
    return { layout, first };
  });
  return { ids, places, firstSequences, passes: laid, layouts, lists: joined(lists) };
}

function sequencesOf(unit: Unit, passes: number, keys: CanvasKeys): RunSequence[] {
  const { canvas } = unit;
  if (unit.kind === "question") {
    if (!canvas) return [...unit.sequences];
    return unit.sequences.map((sequence, twin) => ({
      ...sequence,
      keyRows: keys.rowsOfState(unit, canvas.all[twin], twin),
    }));
  }
  const keeps = unit.steps.slice(0, passes).some(({ cache }) => cache !== undefined);
  const each = canvas!.twins.length > 0 ? 2 : 1;
  return canvas!.all.map(({ ids, kept }, i) => ({
    ids,
    positions: canvas!.rotations[Math.floor(i / each)],
    ...keeps && { keyRows: keys.rowsOf(kept) },
  }));
}

function partsOf(unit: Unit, pass: number, firstSequence: number): PassPart[] {
  if (unit.kind === "question") {
    if (pass > 0) return [];
    return unit.sequences.map((_, i) => ({ ...unit.part, sequence: firstSequence + i }));
  }
  const step = unit.steps[pass];
  if (!step) return [];
  const { canvas } = unit;
  const each = canvas.twins.length > 0 ? 2 : 1;
  return canvas.all.map((_, i) => ({
    ...canvas.span(Math.floor(i / each), step.cache, step.horizon),
    kept: step.cache !== undefined,
    sequence: firstSequence + i,
  }));
}

/** Lists end to end. */
function joined(lists: readonly Uint32Array[]): Uint32Array<ArrayBuffer> {
  const all = new Uint32Array(lists.reduce((sum, { length }) => sum + length, 0));
  let end = 0;
  for (const list of lists) {
    all.set(list, end);
    end += list.length;
  }
  return all;
}
