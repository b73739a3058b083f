/** How a bench says how far it is: the command that starts it shows that. */

/** What is shown while a thing goes on. */
export interface Progress {
  /** So much is done, of all. */
  update(done: number, total: number): void;
  /** It is over. */
  stop(): void;
}

/**
 * Begins to show something that goes on.
 * @param label what goes on
 * @param amount all there is to do, in words
 * @param lines whether to print lines where there is no terminal
 */
export type ShowProgress = (
  label: string,
  amount: (total: number) => string,
  lines: boolean,
) => Progress;

/** Shows nothing. */
export const SILENT: ShowProgress = () => ({ update() {}, stop() {} });
