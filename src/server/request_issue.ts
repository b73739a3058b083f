/** Turns the first fault of a request's body into an error message. */
import type { z } from "zod";
import { ApiError } from "./errors.ts";

type Issue = z.core.$ZodIssue;
type Path = readonly PropertyKey[];

/**
 * Makes the error of an issue: it names the field's path, what was expected and what was found.
 * @param known the fields of the body, named to a client that sent another one
 */
export function issueError(issue: Issue, body: unknown, known: readonly string[]): ApiError {
  const path = issue.path;
  if (issue.code === "invalid_union") {
    const inside = deepest(issue);
    if (inside !== undefined) {
      return issueError({ ...inside, path: [...path, ...inside.path] }, body, known);
    }
  }
  if (issue.code === "unrecognized_keys") {
    return unknownParameter([...path, issue.keys[0]], issue.keys.length - 1, known);
  }
  const param = writePath(path);
  if (issue.code === "custom" && issue.params?.code === "unsupported_parameter") {
    const message = `Unsupported parameter: '${param}'. Leave it out${issue.message}`;
    return new ApiError(400, "unsupported_parameter", message, { param });
  }
  if (path.length === 0) {
    const message = `The request body must be a JSON object; found ${describe(body)}.`;
    return new ApiError(400, "invalid_type", message);
  }
  const found = valueAt(body, path);
  if (found === undefined || found === null) {
    const message = `Missing required parameter: '${param}'; expected ${issue.message}.`;
    return new ApiError(400, "missing_required_parameter", message, { param });
  }
  const code = issue.code === "invalid_type" ? "invalid_type" : "invalid_value";
  const message = `Invalid '${param}': expected ${issue.message}, found ${describe(found)}.`;
  return new ApiError(400, code, message, { param });
}

/** The first issue of the alternative that fits the value's own type, if one does. */
function deepest(issue: Extract<Issue, { code: "invalid_union" }>): Issue | undefined {
  return issue.errors
    .map((issues) => issues[0])
    .find((first) => first.code !== "invalid_type" || first.path.length > 0);
}

function unknownParameter(path: Path, others: number, known: readonly string[]): ApiError {
  const param = writePath(path);
  const more = others === 0 ? "" : ` and ${others} more`;
  const hint = path.length === 1 ? ` This server knows ${known.join(", ")}.` : " Leave it out.";
  const message = `Unknown parameter: '${param}'${more}.${hint}`;
  return new ApiError(400, "unknown_parameter", message, { param });
}

/** A path as text, such as `messages[0].content`, with each name cut at 64 characters. */
function writePath(path: Path): string {
  let written = "";
  for (const step of path) {
    const name = String(step);
    const short = name.length > 64 ? `${name.slice(0, 64)}…` : name;
    if (typeof step === "number") written += `[${step}]`;
    else written += written === "" ? short : `.${short}`;
  }
  return written;
}

function valueAt(body: unknown, path: Path): unknown {
  let value = body;
  for (const step of path) {
    if (typeof value !== "object" || value === null) return undefined;
    value = Object.getOwnPropertyDescriptor(value, step)?.value;
  }
  return value;
}

/** Describes a value in a few words; a text of more than 40 characters only by its length. */
function describe(value: unknown): string {
  if (typeof value === "string") {
    return value.length > 40 ? `text of ${value.length} characters` : JSON.stringify(value);
  }
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === "object" && value !== null) return "an object";
  return String(value);
}
