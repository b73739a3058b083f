/** What `GET /metrics` tells of requests that share forward passes. */
import { type LoadFigures, NO_LOAD } from "../engine/load_figures.ts";
import type { TextEngine } from "../engine/request.ts";

/** A figure: name, meaning, value. */
type Figure = readonly [string, string, (load: LoadFigures) => number];

/** Counters. The rate of one by the rate of another is a mean: requests by passes, tokens by passes. */
export const LOAD_COUNTERS: readonly Figure[] = [
  ["passes", "Forward passes of the target that requests could share", (l) => l.passes],
  ["pass_requests", "Requests in these passes, counted once a pass", (l) => l.passRequests],
  ["pass_rows", "Rows in these passes", (l) => l.passRows],
  ["draft_passes", "Forward passes of the draft that requests could share", (l) => l.draftPasses],
  ["draft_pass_requests", "Requests in the draft's passes", (l) => l.draftRequests],
  ["draft_pass_rows", "Rows in the draft's passes", (l) => l.draftRows],
  ["committed_tokens", "Tokens that steps decided, of running answers too", (l) => l.committed],
  ["gpu_seconds", "Seconds in which forward passes ran", (l) => l.gpuSeconds],
];

/** Gauges. */
export const LOAD_GAUGES: readonly Figure[] = [
  ["queue_depth", "Requests that wait for their turn", (l) => l.waiting],
  ["answers_running", "Answers that are under way", (l) => l.running],
  ["most_pass_requests", "Most requests that one pass has had", (l) => l.mostRequests],
  ["pages", "Pages of keys and values that there are", (l) => l.pages.total],
  ["pages_used", "Pages that requests hold or that are set aside", (l) => l.pages.used],
  ["pages_shared", "Pages that more than one canvas holds", (l) => l.pages.shared],
  ["answers_per_second", "Answers that ended in a second lately, while any ran", (l) => {
    return l.answersPerSecond;
  }],
];

/** The load of an engine; of one that does not tell, none. */
export function loadOf({ load = NO_LOAD }: TextEngine): LoadFigures {
  return load;
}
