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
};
