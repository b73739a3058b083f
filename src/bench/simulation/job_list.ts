/**
 * Recorded jobs as text, of which a few kilobytes hold many answers: jobs in order, behind commas, and
 * before one or several in brackets how often they come in a row. Of each job: the draft if it runs,
 * whether it refreshes, and the rows of its passes. `2 x (draft 146*2, refresh 154)` is, twice, a job
 * of the draft of two passes of 146 rows, and one of the target of a pass of 154, which makes keys
 * anew.
 */

import type { PassModel } from "../../engine/batching/policy.ts";

/** One call of a model by a request: passes without anything read back between them. */
export interface RecordedJob {
  /** Default: the target. */
  readonly model?: PassModel;
  /** Of each pass. */
  readonly rows: readonly number[];
  /** Whether the first pass recomputes all keys and values of a canvas. */
  readonly refreshes?: boolean;
}

const BETWEEN = ", ";
/** Jobs that are sought again behind themselves, at most. */
const LONGEST_GROUP = 8;
const GROUP = /(?:(\d+) x )?(?:\(([^()]+)\)|([^(),]+))(?:, (?=.)|$)/gy;
const JOB = /^(draft )?(refresh )?(\d+(?:\*\d+)?(?: \d+(?:\*\d+)?)*)$/;

/** Jobs as text. */
export function writeJobs(jobs: readonly RecordedJob[]): string {
  return repeatsOf(jobs.map(writeJob), LONGEST_GROUP).map(([group, times]) => {
    const text = group.join(BETWEEN);
    if (times === 1) return text;
    return group.length === 1 ? `${times} x ${text}` : `${times} x (${text})`;
  }).join(BETWEEN);
}

function writeJob({ model, refreshes, rows }: RecordedJob): string {
  const passes = repeatsOf(rows, 1).map(([[count], times]) =>
    times > 1 ? `${count}*${times}` : `${count}`
  );
  return [...model === "draft" ? [model] : [], ...refreshes ? ["refresh"] : [], ...passes].join(
    " ",
  );
}

/**
 * Jobs of a text.
 * @throws {SyntaxError} for a text that holds anything else
 */
export function readJobs(text: string): RecordedJob[] {
  const groups = [...text.matchAll(GROUP)];
  if (groups.reduce((length, [found]) => length + found.length, 0) !== text.length) {
    throw new SyntaxError(`no jobs: ${text}`);
  }
  return groups.flatMap(([, times = "1", several, one]) => {
    const group = (several ?? one).split(BETWEEN).map(readJob);
    return new Array<typeof group>(Number(times)).fill(group).flat();
  });
}

function readJob(text: string): RecordedJob {
  const found = JOB.exec(text);
  if (!found) throw new SyntaxError(`no job: ${text}`);
  const [, draft, refreshes, passes] = found;
  const rows = passes.split(" ").flatMap((run) => {
    const [count, times = 1] = run.split("*").map(Number);
    return new Array<number>(times).fill(count);
  });
  return {
    rows,
    ...draft !== undefined && { model: "draft" as const },
    ...refreshes !== undefined && { refreshes: true },
  };
}

/** The values in groups of up to so many, each with the times that it comes in a row. */
function repeatsOf<T>(values: readonly T[], longest: number): (readonly [T[], number])[] {
  const groups: (readonly [T[], number])[] = [];
  for (let first = 0; first < values.length;) {
    let best: readonly [T[], number] = [[values[first]], 1];
    for (let length = 1; length <= longest; length++) {
      let end = first + length;
      while (end < values.length && values[end] === values[end - length]) end++;
      const times = Math.floor((end - first) / length);
      if (times > 1 && times * length > best[0].length * best[1]) {
        best = [values.slice(first, first + length), times];
      }
    }
    groups.push(best);
    first += best[0].length * best[1];
  }
  return groups;
}
