/** `GET /openapi.json`: what the server takes, made of the schemas that check it. */
import { z } from "zod";

/** What the document needs of a route. */
export interface DescribedRoute {
  readonly method: string;
  readonly path: string;
  readonly summary: string;
  readonly body?: z.ZodType;
  readonly streams?: string;
}

/** A part of a JSON schema that a reference shows. */
export interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly items?: JsonSchema;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
}

/** An operation of the document. */
export interface Operation {
  readonly summary: string;
  readonly requestBody?: {
    readonly required: true;
    readonly content: { readonly "application/json": { readonly schema: JsonSchema } };
  };
  readonly parameters?: readonly object[];
  readonly responses: Readonly<Record<string, object>>;
}

/** An OpenAPI 3.1 document. */
export interface OpenApi {
  readonly openapi: "3.1.0";
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly servers: readonly { readonly url: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: object;
  readonly security: readonly object[];
}

/** The document of these routes. */
export function openApi(routes: readonly DescribedRoute[], version: string): OpenApi {
  const paths: Record<string, Record<string, Operation>> = {};
  for (const route of routes) {
    // Hono's name of a parameter, `:id{.+}`, as OpenAPI's.
    const path = route.path.replace(/:(\w+)(\{.*?\})?/g, "{$1}");
    (paths[path] ??= {})[route.method.toLowerCase()] = operation(route, path);
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "unmask",
      version,
      description:
        "A server of LLaDA masked-diffusion language models. Fields that are not named " +
        "here are a chat completion's where a route answers like one.",
    },
    servers: [{ url: "/" }],
    paths,
    components: { securitySchemes: { key: { type: "http", scheme: "bearer" } } },
    security: [{}, { key: [] }],
  };
}

function operation({ summary, body, streams }: DescribedRoute, path: string): Operation {
  const parameters = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => {
    return { name, in: "path", required: true, schema: { type: "string" } };
  });
  return {
    summary,
    ...parameters.length > 0 && { parameters },
    ...body && {
      requestBody: {
        required: true,
        content: { "application/json": { schema: jsonSchema(body) } },
      },
    },
    responses: {
      200: {
        description: "The answer",
        ...streams && { content: { "application/json": {}, [streams]: {} } },
      },
      default: { description: "What is wrong, in the API's error body" },
    },
  };
}

function jsonSchema(schema: z.ZodType): JsonSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, {
    io: "output",
    unrepresentable: "any",
    // What a transform makes has no schema: what it is given has.
    override({ zodSchema, jsonSchema: made }) {
      const { def } = zodSchema._zod;
      if (def.type !== "pipe" || def.out._zod.def.type !== "transform") return;
      Object.assign(made, jsonSchema(def.in as z.ZodType));
    },
  });
  return rest as JsonSchema;
}
