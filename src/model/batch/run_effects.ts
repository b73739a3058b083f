/** What a run leaves of canvases: their ids, and what is kept of which. */

import type { Commit } from "../../denoise/predictor.ts";
import { contentOf } from "./canvas_keys.ts";
import { type CanvasRow, type HostCanvas, type RowSpan, visibleBefore } from "./host_canvas.ts";
import type { CanvasRun, Question, Unit, UnitResult } from "./jobs.ts";
import type { Span } from "./kept_table.ts";

/** Makes canvases what a run of `passes` passes made of them. */
export function applyRun(
  units: readonly Unit[],
  passes: number,
  resultOf: (unit: number) => UnitResult,
): void {
  for (const [i, unit] of units.entries()) {
    if (!unit.canvas || unit.canvas.destroyed) continue;
    if (unit.kind === "steps") applySteps(unit, passes, resultOf(i) as Commit[][][]);
    else if (unit.cache === "refresh") applyState(unit, unit.canvas);
  }
}

/** The last refresh of a run. */
interface Refresh {
  readonly keys: number;
  readonly contents: readonly string[];
  /** What passes wrote to since. */
  readonly later: Span[];
}

function applySteps({ canvas, steps }: CanvasRun, passes: number, commits: Commit[][][]): void {
  let refresh: Refresh | undefined;
  for (const [pass, step] of steps.slice(0, passes).entries()) {
    if (step.cache !== undefined) {
      const { first, rows, keys } = canvas.span(0, step.cache, step.horizon);
      if (step.cache === "refresh") {
        const contents = canvas.all.map(({ ids }) => contentOf(ids, canvas.rotations[0], keys));
        refresh = { keys, contents, later: [] };
      } else refresh?.later.push([first, first + rows]);
    }
    for (const [sequence, own] of commits[pass].entries()) {
      for (const { position, token } of own) {
        const row = visibleBefore(canvas.positions[sequence], position);
        canvas.rows[sequence].ids[row] = token;
        if (canvas.twins.length > 0) canvas.twins[sequence].ids[row] = token;
      }
    }
  }
  if (refresh) kept(canvas, refresh);
}

function applyState({ span, sequences }: Question, canvas: HostCanvas): void {
  const { keys } = span as RowSpan;
  const contents = sequences.map(({ ids }) => contentOf(ids, canvas.rotations[0], keys));
  kept(canvas, { keys, contents, later: [] });
}

function kept(canvas: HostCanvas, { keys, contents, later }: Refresh): void {
  canvas.all.forEach((row: CanvasRow, i) => row.kept.refreshed(keys, contents[i], later));
}
