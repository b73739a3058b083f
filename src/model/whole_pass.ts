/** Passes over whole sequences that a call has for itself: for results that shared passes do not give. */

import type { ForwardInput } from "../denoise/predictor.ts";
import type { Readback } from "../gpu/readback.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { attentionWork } from "../kernels/attention.ts";
import type { RowBatch } from "./forward_pass.ts";
import { type RankedToken, topLogits, topRows } from "./logits.ts";
import { type PredictionContext, uploadScratch } from "./prediction_pass.ts";
import { askedRows, type PackedRows, packRows, rowsOf, type SequenceToPack } from "./rows.ts";

/** Uploads the rows of sequences. */
export function uploadRows(context: PredictionContext, packed: PackedRows): RowBatch {
  const put = (name: string, data: Uint32Array<ArrayBuffer>) => uploadScratch(context, name, data);
  const rows = packed.ids.length;
  const group = {
    first: 0,
    rows,
    positions: 0,
    ranges: put("ranges", packed.ranges),
    work: attentionWork(packed.ranges),
  };
  const lists = put("row_position", packed.rowPositions);
  return { rows, ids: put("ids", packed.ids), lists, groups: [group] };
}

/** Groups sequences into passes of at most so many rows. @returns indices of each group */
export function groupsOf(inputs: readonly SequenceToPack[], most: number): number[][] {
  const groups: { rows: number; inputs: number[] }[] = [];
  for (const [i, input] of inputs.entries()) {
    const rows = rowsOf(input);
    const open = groups.find((group) => group.rows + rows <= most);
    if (open) {
      open.rows += rows;
      open.inputs.push(i);
    } else {
      groups.push({ rows, inputs: [i] });
    }
  }
  return groups.map((group) => group.inputs);
}

/** What a pass over one sequence leaves. */
interface WholePass {
  /** Hidden states before the final norm. */
  readonly hidden: Tensor;
  /** Rows of the asked positions. */
  readonly rows: readonly number[];
  /** Number of rows from a row to its unconditional twin; 0 without guidance. */
  readonly twinRows: number;
}

/** Records all layers over one sequence. */
function recordWhole(
  context: PredictionContext,
  input: SequenceToPack & Pick<ForwardInput, "positions">,
): WholePass {
  const packed = packRows([input]);
  const hidden = context.family.forward(context, uploadRows(context, packed));
  return { hidden, rows: askedRows(packed, 0, input.positions), twinRows: packed.twinRows };
}

/** Finds the k likeliest tokens at the asked positions of one sequence. */
export async function topTokensOf(
  context: PredictionContext,
  readback: Readback,
  input: Pick<ForwardInput, "ids" | "attentionMask" | "positions" | "guidance">,
  k: number,
): Promise<RankedToken[][]> {
  const { guidance } = input;
  const { hidden, rows, twinRows } = recordWhole(context, input);
  const most = topRows(context, guidance ? 2 : 1, k);
  const found: RankedToken[][] = [];
  for (let first = 0; first < rows.length; first += most) {
    const piece = rows.slice(first, first + most).flatMap((row) =>
      guidance ? [row, row + twinRows] : [row]
    );
    const scale = guidance && guidance.scale + 1;
    found.push(...await topLogits(context, readback, hidden, piece, k, scale));
  }
  return found;
}
