/** The error of a schema that cannot be served. */

/** Names the keyword and where it stands. */
export class SchemaError extends Error {
  override readonly name = "SchemaError";

  /**
   * @param pointer JSON pointer of the keyword in the schema, `/properties/a/not`
   * @param reason what is wrong, as the end of a sentence
   */
  constructor(readonly pointer: string, readonly reason: string) {
    super(`${pointer === "" ? "the schema" : `the schema's ${pointer}`} ${reason}`);
  }
}

/** The pointer of a part. */
export function within(pointer: string, ...steps: readonly (string | number)[]): string {
  const written = steps.map((step) => String(step).replaceAll("~", "~0").replaceAll("/", "~1"));
  return [pointer, ...written].join("/");
}
