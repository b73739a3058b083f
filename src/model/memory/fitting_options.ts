/** Finds, by trying, what a user could give up so that a model fits. */

import type { Pair, PlanRequest } from "./plan_request.ts";

/** The shortest context that is suggested, in tokens. */
export const LEAST_CONTEXT = 16;
/** Longer contexts are suggested in steps of this many tokens. */
const CONTEXT_STEP = 64;

/** Something that a user can give up. */
type Loss = "precision" | "draft" | "context";

/**
 * Finds the least that must be given up: the named precision, the draft, context length, or several
 * of them.
 * @param context context length of the request that does not fit, in tokens
 * @param fit plans the request with some changes; returns undefined if it does not fit
 * @returns command-line options; those to be used together are in one string
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

/** All subsets that are not empty, smaller ones first. */
function subsets(losses: readonly Loss[]): Loss[][] {
  const all = losses.reduce<Loss[][]>(
    (sets, loss) => [...sets, ...sets.map((set) => [...set, loss])],
    [[]],
  );
  return all.slice(1).sort((a, b) => a.length - b.length);
}

/**
 * The longest context below this one that fits; undefined if none fits.
 * @param least shortest useful context, in tokens
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
