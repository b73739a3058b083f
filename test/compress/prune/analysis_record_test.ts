/** Measurements that are kept. */

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { join } from "node:path";
import { AnalysisRecord } from "../../../src/compress/prune/analysis_record.ts";
import { withFolder } from "../../model/random_checkpoint.ts";

Deno.test("what is finished is not measured again; a line that was cut off is", () =>
  withFolder(async (dir) => {
    const file = join(dir, "record.jsonl");
    const settings = { model: "a", seed: 0 };
    let measured = 0;
    const measure = () => Promise.resolve({ value: ++measured });
    const record = new AnalysisRecord(file, settings);
    assertEquals(await record.get("one", measure), { value: 1 });
    assertEquals(await record.get("one", measure), { value: 1 });
    await assertRejects(() => record.get("two", () => Promise.reject(new Error("failed"))), Error);
    assertEquals(await record.get("two", measure), { value: 2 });
    // As a killed process leaves it.
    Deno.writeTextFileSync(file, '{"name":"three","val', { append: true });
    const again = new AnalysisRecord(file, { ...settings });
    assertEquals(await again.get("one", measure), { value: 1 });
    assertEquals(await again.get("three", measure), { value: 3 });
    assertEquals(await again.get("two", measure, false), { value: 4 });
    const last = new AnalysisRecord(file, settings);
    const kept = await Promise.all(["one", "two", "three"].map((name) => last.get(name, measure)));
    assertEquals(kept, [{ value: 1 }, { value: 4 }, { value: 3 }]);

    const other = () => new AnalysisRecord(file, { model: "b", seed: 0, more: true });
    assertThrows(other, Error, 'model "a", not "b"; more undefined, not true');
    Deno.writeTextFileSync(file, "{}\nnot json\n");
    assertThrows(() => new AnalysisRecord(file, {}), Error, "record.jsonl: line 2 is not JSON");
    // Killed while it wrote its first line.
    Deno.writeTextFileSync(file, '{"model"');
    assertEquals(await new AnalysisRecord(file, settings).get("one", measure), { value: 5 });
    assertEquals(await new AnalysisRecord(file, settings).get("one", measure), { value: 5 });
  }));
