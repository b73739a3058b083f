/** Logits for constrained answers, between the passes that others share. */

import type { Model } from "../../model/model.ts";
import type { LogitSource } from "../constrained_steps.ts";
import type { Lane } from "./lane.ts";
import type { Scheduler } from "./scheduler.ts";

/** The model of one request, as its constrained steps use it. */
export class LaneLogits implements LogitSource {
  readonly #model: Pick<Model, "logitsAt" | "rankAt" | "firstLogits">;
  readonly #lane: Pick<Lane, "alone">;
  readonly #scheduler: Pick<Scheduler, "turns">;
  #ranked: { readonly asked: Parameters<LogitSource["rankAt"]>; readonly turn: number } | undefined;

  /** The scheduler is that of the lane. */
  constructor(
    model: Pick<Model, "logitsAt" | "rankAt" | "firstLogits">,
    lane: Pick<Lane, "alone">,
    scheduler: Pick<Scheduler, "turns">,
  ) {
    this.#model = model;
    this.#lane = lane;
    this.#scheduler = scheduler;
  }

  logitsAt(asked: Parameters<LogitSource["logitsAt"]>[0]): Promise<Float32Array> {
    return this.#lane.alone(() => this.#model.logitsAt(asked));
  }

  rankAt(...asked: Parameters<LogitSource["rankAt"]>): ReturnType<LogitSource["rankAt"]> {
    return this.#lane.alone(() => {
      this.#ranked = { asked, turn: this.#scheduler.turns };
      return this.#model.rankAt(...asked);
    });
  }

  /** What was ranked is still on the device, unless others had their turn since: then once more. */
  firstLogits(): Promise<Float32Array> {
    return this.#lane.alone(async () => {
      const { asked, turn } = this.#ranked!;
      // If this is done once more for want of memory, nothing of it is there any more.
      this.#ranked = { asked, turn: -Infinity };
      if (this.#scheduler.turns > turn + 1) await this.#model.rankAt(...asked);
      return await this.#model.firstLogits();
    });
  }
}
