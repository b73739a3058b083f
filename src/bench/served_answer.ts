/** One answer as its client sees it: when its text came, and what it was to the last bit. */

import type { Engine } from "../engine/engine.ts";
import type { CommittedToken, GenerateRequest } from "../engine/request.ts";

/** An answer, and the milliseconds from the call until its text. */
export interface ServedAnswer {
  readonly firstMilliseconds: number;
  readonly totalMilliseconds: number;
  readonly promptTokens: number;
  /** Positions of its canvas. */
  readonly canvasTokens: number;
  readonly tokens: number;
  /** Forward passes of the target that it asked for. */
  readonly forwards: number;
  /** Steps by each choice of `auto`. */
  readonly choices: Readonly<Record<string, number>>;
  /** Two answers with equal ones have the same text and commits, bits of confidences included. */
  readonly bits: string;
}

/** Asks for an answer and reads it to its end. @throws as the engine's `generate` */
export async function serveAnswer(
  engine: Pick<Engine, "generate">,
  request: GenerateRequest,
): Promise<ServedAnswer> {
  const start = performance.now();
  const commits: CommittedToken[] = [];
  let first: number | undefined;
  let canvasTokens = 0;
  for await (const event of engine.generate(request)) {
    if (event.type === "start") canvasTokens = event.generationLength;
    if (event.type === "step") {
      if (event.delta !== "") first ??= performance.now() - start;
      commits.push(...event.commits);
    }
    if (event.type !== "end") continue;
    const totalMilliseconds = performance.now() - start;
    const { text, usage, stats } = event;
    return {
      // An answer without text says so at its end.
      firstMilliseconds: first ?? totalMilliseconds,
      totalMilliseconds,
      promptTokens: usage.promptTokens,
      canvasTokens,
      tokens: usage.completionTokens,
      forwards: stats.forwards,
      choices: stats.choices ?? {},
      bits: `${text}\n${bitsOf(request, commits, usage.completionTokens)}`,
    };
  }
  throw new Error("the engine ended without an answer");
}

/**
 * The commits in the order in which they came. What `auto` chooses follows measured times, so of its
 * answers only what every choice must give is taken: the last commit at each position of the text.
 */
function bitsOf(
  { strategy = "auto" }: GenerateRequest,
  commits: readonly CommittedToken[],
  tokens: number,
): string {
  const told = ({ position, token, confidence }: CommittedToken) =>
    `${position}:${token}:${confidence}`;
  if (strategy !== "auto") return commits.map(told).join(" ");
  const last = new Map(commits.map((commit) => [commit.position, commit]));
  return [...last.values()].filter(({ position }) => position < tokens)
    .toSorted((a, b) => a.position - b.position).map(told).join(" ");
}
