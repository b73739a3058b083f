/** How rows come to lanes: the forms, and which one a device gets. */

/**
 * How eight rows that all lanes need come to them. `uniform`: every lane reads all of them, at addresses
 * that all lanes share; GPUs read those once a wave, into scalar registers, and any wave size is right.
 * `exchanged`: each of eight lanes reads one, and they exchange them; a software adapter reads lane by
 * lane, so that this costs it an eighth.
 */
export type RowForm = "uniform" | "exchanged";

/** Names of the forms. */
export const ROW_FORMS: readonly RowForm[] = ["uniform", "exchanged"];

/** A form, and why a device computes in it. */
export interface ChosenRowForm {
  readonly form: RowForm;
  /** Why, in words that can follow the form's name. */
  readonly reason: string;
}

/**
 * Decides the form of a device.
 * @param software whether the adapter computes on the host
 * @param asked the form that was asked for, if any
 */
export function chosenRowForm(software: boolean, asked?: RowForm): ChosenRowForm {
  if (asked !== undefined) return { form: asked, reason: "as was asked for" };
  return software
    ? { form: "exchanged", reason: "a software adapter reads lane by lane" }
    : { form: "uniform", reason: "a GPU reads a shared address once for all lanes" };
}
