import { assertEquals } from "@std/assert";
import { multipliesMatrices } from "../../src/gpu/matrix_probe.ts";
import { skipIf } from "../skip.ts";
import { dawnForms, noDawnForm } from "./dawn.ts";

Deno.test({
  ...skipIf(noDawnForm("matrix units"), "Dawn's matrix units pass the trial, if told their lanes"),
  async fn() {
    const { device, directives, matrixUnits: units } = dawnForms.get("matrix units")!;
    const passes = (changed: Partial<typeof units>) =>
      multipliesMatrices(device, directives, { ...units!, ...changed });
    assertEquals(await passes({}), true);
    assertEquals(await passes({ asksForSize: true }), true);
    // As on a driver that puts two groups of lanes into one subgroup.
    assertEquals(await passes({ subgroupSize: units!.subgroupSize / 2 }), false);
    // A size that the driver does not give is an error of validation, and no fault of the device.
    assertEquals(await passes({ subgroupSize: 1024, asksForSize: true }), false);
    dawnForms.get("matrix units")!.throwIfFaulty();
  },
});
