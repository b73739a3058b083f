/** Text in which a mark stands for each hole. */

import type { TemplatePart } from "./request.ts";

/** What marks a hole, if nothing else is said. */
export const HOLE_MARK = "___";

/** A text split at its marks. @param tokens those of all holes, or of each; null where searched */
export function templateOf(
  text: string,
  { mark = HOLE_MARK, tokens, mostTokens }: {
    readonly mark?: string;
    readonly tokens?: number | readonly (number | null)[];
    readonly mostTokens?: number;
  } = {},
): TemplatePart[] {
  return text.split(mark).flatMap((part, i): TemplatePart[] => {
    const own = typeof tokens === "number" ? tokens : tokens?.[i - 1] ?? undefined;
    const hole = i === 0 ? [] : [{ tokens: own, mostTokens }];
    return part === "" ? hole : [...hole, part];
  });
}

/** What is asked of the model where there is neither a conversation nor an instruction. */
export function asksToFill(text: string, mark = HOLE_MARK): string {
  return `Fill each ${mark} in this text: ${text}`;
}
