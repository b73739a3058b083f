/** `GET /docs`: the OpenAPI document as a page, complete in itself. */
import type { JsonSchema, OpenApi, Operation } from "./openapi.ts";

/** Headers of the page: it runs nothing and loads nothing. */
export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  "Content-Type": "text/html; charset=utf-8",
  "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; " +
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
};

const STYLE = `
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }
h2 { font: 600 1.05rem ui-monospace, monospace; margin-top: 2rem; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; }
td, th { border-bottom: 1px solid #8884; padding: .2rem .6rem; text-align: left; vertical-align: top; }
code { overflow-wrap: anywhere; }
nav ul { columns: 2; list-style: none; padding: 0; }
`;

/** The page of a document. */
export function referencePage({ info, paths }: OpenApi): string {
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      name: `${method.toUpperCase()} ${path}`,
      operation,
    }))
  );
  const links = operations.map(({ name }, i) => `<li><a href="#o${i}">${escaped(name)}</a></li>`);
  const sections = operations.map(({ name, operation }, i) =>
    `<section id="o${i}"><h2>${escaped(name)}</h2>${section(operation)}</section>`
  );
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escaped(info.title)} ${escaped(info.version)}: reference</title>
<style>${STYLE}</style>
<h1>${escaped(info.title)} ${escaped(info.version)}</h1>
<p>${
    escaped(info.description)
  } The same as a document: <a href="/openapi.json">openapi.json</a>.</p>
<nav><ul>${links.join("")}</ul></nav>
${sections.join("\n")}
</html>
`;
}

function section({ summary, requestBody, responses }: Operation): string {
  const streams = Object.keys((responses["200"] as { content?: object }).content ?? {})
    .filter((type) => type !== "application/json");
  const streamed = streams.map((type) => ` Streams are <code>${escaped(type)}</code>.`).join("");
  const schema = requestBody?.content["application/json"].schema;
  return `<p>${escaped(summary)}${streamed}</p>${schema ? table(schema) : ""}`;
}

function table({ properties = {}, required = [] }: JsonSchema): string {
  const rows = Object.entries(properties).map(([name, schema]) => {
    const needed = required.includes(name) ? "required" : "";
    return `<tr><td><code>${escaped(name)}</code><td><code>${escaped(typeOf(schema))}</code>` +
      `<td>${needed}</tr>`;
  });
  return `<table><tr><th>field<th>type<th></tr>${rows.join("")}</table>`;
}

/** A schema in a few words. */
export function typeOf(schema: JsonSchema): string {
  const { type, enum: values, anyOf, oneOf, items, properties } = schema;
  if (values) return values.map((value) => JSON.stringify(value)).join(" | ");
  if ("const" in schema) return JSON.stringify(schema.const);
  const choices = anyOf ?? oneOf;
  if (choices) return [...new Set(choices.map(typeOf))].join(" | ");
  if (type === "array") return items ? `list of (${typeOf(items)})` : "list";
  if (properties) return `{ ${Object.keys(properties).join(", ")} }`;
  return `${type ?? "any"}${bounds(schema)}`;
}

function bounds({ minimum, maximum, minLength, maxLength }: JsonSchema): string {
  const [low, high] = [minimum ?? minLength, maximum ?? maxLength].map((bound) =>
    // What every integer of JavaScript is within bounds nothing.
    bound === undefined || Math.abs(bound) >= Number.MAX_SAFE_INTEGER ? undefined : bound
  );
  if (low === undefined && high === undefined) return "";
  return ` ${low ?? "…"} to ${high ?? "…"}${minLength ?? maxLength ? " characters" : ""}`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
