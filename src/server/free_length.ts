/** Over HTTP the model decides how long its answer's canvas is, unless a request fixes it. */
import type { GenerateRequest, TextEngine } from "../engine/request.ts";
import { engineWith } from "./engine_with.ts";

/** The request with the server's default: the length is auto where nothing fixes the canvas. */
export function withFreeLength(request: GenerateRequest): GenerateRequest {
  const { length, genLength, steps, fixed, template, revise } = request;
  const fixes = length ?? genLength ?? steps ?? fixed ?? template ?? revise;
  return fixes === undefined ? { ...request, length: "auto" } : request;
}

/** The same engine, with that default. */
export function freely(engine: TextEngine): TextEngine {
  return engineWith(
    engine,
    (request, signal) => engine.generate(withFreeLength(request), signal),
  );
}
