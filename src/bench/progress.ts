/** The interface through which a bench reports progress to the command that runs it. */

/** Shows the progress of a task. */
export interface Progress {
  /** Shows that `done` of `total` is finished. */
  update(done: number, total: number): void;
  /** Ends the display. */
  stop(): void;
}

/**
 * Starts to show progress.
 * @param label name of the task
 * @param amount formats the total amount of work
 * @param lines whether to print lines if there is no terminal
 */
export type ShowProgress = (
  label: string,
  amount: (total: number) => string,
  lines: boolean,
) => Progress;

/** Shows nothing. */
export const SILENT: ShowProgress = () => ({ update() {}, stop() {} });
