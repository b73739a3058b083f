import { assertEquals } from "@std/assert";
import { EMBEDDED_TARGET } from "../../src/engine/embedded_models.ts";
import { loadEngine } from "../../src/engine/load.ts";
import { openGpu } from "../../src/gpu/device_choice.ts";
import { chosenRowForm, ROW_FORMS } from "../../src/gpu/row_form.ts";

Deno.test("a software adapter exchanges rows, a GPU reads them; what is asked for comes first", () => {
  assertEquals(chosenRowForm(true).form, "exchanged");
  assertEquals(chosenRowForm(false).form, "uniform");
  for (const software of [true, false]) {
    for (const form of ROW_FORMS) {
      assertEquals(chosenRowForm(software, form), { form, reason: "as was asked for" });
    }
  }
});

Deno.test("the form that is chosen reaches the device, by itself and under an engine", async () => {
  {
    using own = await openGpu({});
    assertEquals(own.rowForm, chosenRowForm(own.software).form);
  }
  for (const rowForm of ROW_FORMS) {
    using gpu = await openGpu({ provider: "native", rowForm });
    assertEquals(gpu.rowForm, rowForm);
    using engine = await loadEngine(EMBEDDED_TARGET, { draft: false, rowForm });
    assertEquals(engine.model.gpu.rowForm, rowForm);
  }
});
