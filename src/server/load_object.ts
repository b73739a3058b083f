/** How busy the server is, as `GET /v1/stats` and `GET /v1/status` tell it. */
import { NO_LOAD, type PageFigures } from "../engine/load_figures.ts";
import type { TextEngine } from "../engine/request.ts";

/** The load now, and how well requests shared forward passes so far. */
export interface LoadObject {
  /** Requests that are answered now. */
  readonly running: number;
  /** Requests that wait for their turn. */
  readonly waiting: number;
  /** Forward passes of the target that requests could share. */
  readonly passes: number;
  /** Requests in such a pass, on average; 0 before the first. */
  readonly requests_per_pass: number;
  /** Most requests that one pass has had. */
  readonly most_requests_per_pass: number;
  readonly rows_per_pass: number;
  readonly tokens_per_pass: number;
  /** Pages of keys and values. */
  readonly pages: PageFigures;
}

/**
 * The load of an engine.
 * @param underWay number of requests that are answered or wait
 */
export function loadObject({ load }: TextEngine, underWay: number): LoadObject {
  // Its figures may be a moment old; of an engine that does not tell, no request waits.
  const running = Math.min(underWay, load?.running ?? underWay);
  const { passes, passRequests, passRows, mostRequests, committed, pages } = load ?? NO_LOAD;
  const perPass = (sum: number) => passes === 0 ? 0 : sum / passes;
  return {
    running,
    waiting: underWay - running,
    passes,
    requests_per_pass: perPass(passRequests),
    most_requests_per_pass: mostRequests,
    rows_per_pass: perPass(passRows),
    tokens_per_pass: perPass(committed),
    pages,
  };
}
