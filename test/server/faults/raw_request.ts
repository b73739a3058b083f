/** Requests as the bytes that a connection carries. */

/** The header of a request, with its empty line. */
export function headOf(path: string, headers: Readonly<Record<string, string | number>>): string {
  const lines = Object.entries({
    Host: "localhost",
    "Content-Type": "application/json",
    ...headers,
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  return `POST ${path} HTTP/1.1\r\n${lines.join("")}\r\n`;
}

/** A whole request. */
export function requestOf(
  path: string,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): string {
  const length = new TextEncoder().encode(body).byteLength;
  return headOf(path, { "Content-Length": length, ...headers }) + body;
}

/** The status of an answer that has begun; undefined before it has. */
export function statusOf(answer: string): number | undefined {
  const status = /^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1];
  return status === undefined ? undefined : Number(status);
}

/** Whether the answer's last byte is there. */
export function isWhole(answer: string): boolean {
  const end = answer.indexOf("\r\n\r\n");
  if (end < 0) return false;
  const length = /\r\ncontent-length: (\d+)\r\n/i.exec(answer.slice(0, end + 2))?.[1];
  return length === undefined
    ? answer.endsWith("\r\n0\r\n\r\n")
    : answer.length >= end + 4 + Number(length);
}
