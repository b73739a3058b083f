/** String formats of JSON Schema that are served, as patterns. */

const SHORT_MONTHS = "(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)";
const LONG_MONTHS = "(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])";
const FEBRUARY = "02-(?:0[1-9]|1\\d|2[0-8])";
/** A date that every calendar has: not the 29th of February. */
const DATE = `\\d{4}-(?:${SHORT_MONTHS}|${LONG_MONTHS}|${FEBRUARY})`;
const TIME =
  "(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,3})?(?:Z|[+-](?:0\\d|1[0-3]):[0-5]\\d)";
const BYTE = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const LABEL = "[a-z0-9](?:[a-z0-9-]{0,20}[a-z0-9])?";
const HOST = `${LABEL}(?:\\.${LABEL}){0,3}`;
const DAYS = "(?:\\d{1,4}Y(?:\\d{1,2}M)?(?:\\d{1,2}D)?|\\d{1,2}M(?:\\d{1,2}D)?|\\d{1,4}D)";
const HOURS = "(?:\\d{1,2}H(?:\\d{1,2}M)?(?:\\d{1,2}S)?|\\d{1,2}M(?:\\d{1,2}S)?|\\d{1,4}S)";
const DECIMAL = "-?(?:0|[1-9]\\d{0,11})(?:\\.\\d{1,6})?";
const PATH = "(?:/[A-Za-z0-9._~-]+){0,8}/?";

/** Each pattern is for the whole text, and may leave out rare forms of its format. */
export const FORMATS: Readonly<Record<string, string>> = {
  date: DATE,
  time: TIME,
  "date-time": `${DATE}T${TIME}`,
  uuid: "[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
  email: `[a-z0-9_+-]+(?:\\.[a-z0-9_+-]+)*@${LABEL}(?:\\.${LABEL}){0,2}\\.[a-z]{2,10}`,
  ipv4: `${BYTE}(?:\\.${BYTE}){3}`,
  hostname: HOST,
  uri: `https?://${HOST}${PATH}`,
  "uri-reference": `https?://${HOST}${PATH}`,
  ipv6: "[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){7}",
  duration: `P(?:${DAYS}(?:T${HOURS})?|T${HOURS}|\\d{1,4}W)`,
  byte: "(?:[A-Za-z0-9+/]{4})*",
};

/** Formats that only say what a text is for: each text is of them. */
export const FREE_FORMATS: ReadonlySet<unknown> = new Set(
  ["password", "binary", "path", "file-path", "directory-path"],
);

/**
 * Patterns with look-ahead that libraries write, and patterns without it, each of whose texts they
 * match: of zod 4 for `z.email()`, `z.iso.duration()` and `z.hostname()`, of pydantic for decimals.
 */
export const WITHOUT_LOOKAHEAD: ReadonlyMap<unknown, string> = new Map([
  [
    "^(?!\\.)(?!.*\\.\\.)([A-Za-z0-9_'+\\-\\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\\-]*\\.)+[A-Za-z]{2,}$",
    FORMATS.email,
  ],
  [
    "^P(?:(\\d+W)|(?!.*W)(?=\\d|T\\d)(\\d+Y)?(\\d+M)?(\\d+D)?(T(?=\\d)(\\d+H)?(\\d+M)?(\\d+([.,]\\d+)?S)?)?)$",
    FORMATS.duration,
  ],
  [
    "^(?=.{1,253}\\.?$)[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\\.[a-zA-Z0-9](?:[-0-9a-zA-Z]{0,61}[0-9a-zA-Z])?)*\\.?$",
    FORMATS.hostname,
  ],
  ["^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$", DECIMAL],
]);
