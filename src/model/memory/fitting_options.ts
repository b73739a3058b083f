/** What a user could give up so that a model fits: found by trying. */

import type { Pair, PlanRequest } from "./plan_request.ts";

/** The shortest context that is suggested, in tokens. */
export const LEAST_CONTEXT = 16;
/** Longer contexts are suggested in steps of this many tokens. */
const CONTEXT_STEP = 64;

/** What can be given up. */
type Loss = "precision" | "draft" | "context";

/**
 * The least that must be given up: precision that was named, the draft, the length of the context, or
 * several of them.
 * @param context of the request that does not fit, in tokens
 * @param fit plans the request with some changes; undefined when it does not fit
 * @returns options of the command line, those that go together in one string
 */
export async function fittingOptions(
  request: PlanRequest,
  context: number,
  fit: (changes: Partial<PlanRequest>) => Promise<Pair | undefined>,
): Promise<string[]> {
  const { weights, draft, draftWeights } = request;
  const possible: Loss[] = [
    ...(weights ?? draftWeights) ? ["precision" as const] : [],
    ...draft ? ["draft" as const] : [],
    "context",
  ];
  const found: { readonly losses: readonly Loss[]; readonly options: string }[] = [];
  for (const losses of subsets(possible)) {
    if (found.some((less) => less.losses.every((loss) => losses.includes(loss)))) continue;
    const changes: Partial<PlanRequest> = {
      ...losses.includes("precision") && { weights: undefined, draftWeights: undefined },
      ...losses.includes("draft") && { draft: undefined },
    };
    const at = (context: number) => fit({ ...changes, context });
    const tokens = losses.includes("context") ? await longestContext(context, at) : context;
    const pair = tokens === undefined ? undefined : await at(tokens);
    if (!pair) continue;
    const options = [
      weights && pair.target !== weights ? `--weights ${pair.target}` : [],
      pair.draft && draftWeights && pair.draft !== draftWeights
        ? `--draft-weights ${pair.draft}`
        : [],
      losses.includes("draft") ? "--no-draft" : [],
      losses.includes("context") ? `--context ${tokens}` : [],
    ];
    found.push({ losses, options: options.flat().join(" ") });
  }
  return found.map(({ options }) => options);
}

/** All that are not empty, the smaller first. */
function subsets(losses: readonly Loss[]): Loss[][] {
  const all = losses.reduce<Loss[][]>(
    (sets, loss) => [...sets, ...sets.map((set) => [...set, loss])],
    [[]],
  );
  return all.slice(1).sort((a, b) => a.length - b.length);
}

/**
 * The longest context below this one that fits; undefined where none does.
 * @param least the shortest that is of use, in tokens
 */
export async function longestContext(
  context: number,
  fit: (tokens: number) => Promise<unknown>,
  least: number = LEAST_CONTEXT,
): Promise<number | undefined> {
  const contexts = [LEAST_CONTEXT, CONTEXT_STEP / 2];
  for (let tokens = CONTEXT_STEP; tokens < context; tokens += CONTEXT_STEP) contexts.push(tokens);
  const shorter = contexts.filter((tokens) => tokens >= least && tokens < context);
  let fitting = -1;
  let failing = shorter.length;
  while (failing - fitting > 1) {
    const middle = (fitting + failing) >> 1;
    if (await fit(shorter[middle])) fitting = middle;
    else failing = middle;
  }
  return shorter[fitting];
}
