/** Engines that answer in another way than the one below them. */
import type { TextEngine } from "../engine/request.ts";

/** The same engine with another `generate`. */
export function engineWith(engine: TextEngine, generate: TextEngine["generate"]): TextEngine {
  return {
    get state() {
      return engine.state;
    },
    get failure() {
      return engine.failure;
    },
    get model() {
      return engine.model;
    },
    get device() {
      return engine.device;
    },
    get totals() {
      return engine.totals;
    },
    get load() {
      return engine.load;
    },
    get ready() {
      return engine.ready;
    },
    generate,
    text: (question) => engine.text(question),
    close: () => engine.close(),
  };
}
