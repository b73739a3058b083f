/** What an answer says that its deadline ended. */
import type { GenerateEvent } from "../engine/request.ts";

/** A token of such an answer. */
export interface DeadlineToken {
  /** The token alone as text. */
  readonly text: string;
  /** Noise-free probability at the step that committed it, or at the deadline. */
  readonly confidence: number;
  /** Whether it was only the likeliest token at the deadline, and not committed. */
  readonly provisional: boolean;
}

/** The member of a choice that says so. */
export interface AtDeadline {
  /** Present if the deadline came before the answer was done: its tokens, in order. */
  readonly deadline?: { readonly tokens: readonly DeadlineToken[] };
}

/** That member, if the deadline ended the answer. */
export function atDeadline(
  { deadline }: Extract<GenerateEvent, { type: "end" }>,
): AtDeadline {
  return deadline === undefined ? {} : {
    deadline: {
      tokens: deadline.map(({ text, confidence, provisional }) => ({
        text,
        confidence,
        provisional,
      })),
    },
  };
}
