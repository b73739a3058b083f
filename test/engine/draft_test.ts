import { assertEquals, assertMatch } from "@std/assert";
import { join } from "node:path";
import { draftWarning } from "../../src/engine/draft.ts";
import { withFolder } from "../model/random_checkpoint.ts";
import { TINY_DRAFT, TINY_TARGET } from "../model/models.ts";

Deno.test("a pruned model that is loaded alone is told of, whatever pruned it; others are not", () =>
  withFolder((dir) => {
    assertEquals(draftWarning(TINY_TARGET), undefined);
    assertMatch(draftWarning(TINY_DRAFT)!, /is a pruned draft \(config\.json: pruning\)/);
    Deno.writeTextFileSync(join(dir, "config.json"), '{"kept_layers": [0, 2]}');
    assertMatch(draftWarning(dir)!, /is a pruned draft \(config\.json: kept_layers\)/);
    return Promise.resolve();
  }));
