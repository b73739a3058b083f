import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { acquireGpu, GpuError } from "../../src/gpu/device.ts";
import { MATRIX_FEATURE } from "../../src/gpu/matrix_units.ts";
import { noDawnAdapterMessage, openProvider, startDawn } from "../../src/gpu/provider.ts";
import { skipIf } from "../skip.ts";
import { dawnForms, noDawnCompiler, noDawnForm } from "./dawn.ts";

/** Dawn without a driver: its adapter has no matrix units. */
const starts = () => startDawn(["backend=null"]);

/** The same, except that its adapters list matrix units, which multiply nothing. */
async function startsWithUnits(): Promise<GPU> {
  const gpu = await starts();
  const info = {
    subgroupMinSize: 32,
    subgroupMaxSize: 32,
    subgroupMatrixConfigs: [
      { componentType: "f16", resultComponentType: "f32", M: 8, N: 8, K: 8 },
    ],
  };
  return {
    async requestAdapter(options?: GPURequestAdapterOptions) {
      const adapter = await gpu.requestAdapter(options);
      return new Proxy(adapter!, {
        get(target, name) {
          if (name === "info") return info;
          const value = Reflect.get(target, name, target);
          return typeof value === "function" ? value.bind(target) : value;
        },
      });
    },
  } as unknown as GPU;
}

const forbidden = () =>
  Promise.reject(
    new GpuError("not permitted", { cause: new Deno.errors.NotCapable("Requires ffi access") }),
  );
const broken = () => Promise.reject(new GpuError("Dawn could not be loaded: no such file"));
const withoutAdapter = () =>
  Promise.resolve({ requestAdapter: () => Promise.resolve(null) } as unknown as GPU);

Deno.test("native starts nothing", async () => {
  const provider = await openProvider(
    "native",
    undefined,
    () => Promise.reject(new Error("was started")),
  );
  assertEquals(provider, { name: "native", gpu: undefined });
});

Deno.test({
  ...skipIf(noDawnCompiler, "dawn is Dawn"),
  async fn() {
    const { name, gpu } = await openProvider("dawn", undefined, starts);
    assertEquals(name, "dawn");
    using acquired = await acquireGpu({ provider: gpu });
    assertEquals(acquired.native, false);
    assert(acquired.features.includes(MATRIX_FEATURE), acquired.features.join());
    assertEquals(acquired.matrixUnits, undefined);
    assertEquals(
      acquired.directives,
      "enable subgroups; enable f16; enable chromium_experimental_subgroup_matrix; " +
        "enable subgroup_size_control; ",
    );
  },
});

Deno.test({
  ...skipIf(noDawnCompiler, "auto is native where Dawn has no matrix units, or they fail a trial"),
  async fn() {
    const without = await openProvider("auto", undefined, starts);
    assertEquals([without.name, without.gpu], ["native", undefined]);
    assertMatch(without.reason!, /lists no matrix units/);

    // Without a driver nothing is computed.
    const failing = await openProvider("auto", undefined, startsWithUnits);
    assertEquals([failing.name, failing.gpu], ["native", undefined]);
    assertMatch(failing.reason!, /8x8x8, multiply wrongly or not at all/);
    using gpu = await acquireGpu({ provider: await startsWithUnits() });
    assertEquals([gpu.matrixUnits, gpu.native], [undefined, false]);
    assertMatch(gpu.noMatrixUnits!, /multiply wrongly or not at all/);
    gpu.throwIfFaulty();
  },
});

Deno.test({
  ...skipIf(noDawnForm("matrix units"), "auto takes Dawn for matrix units that pass a trial"),
  async fn() {
    const { name, gpu: provider, reason } = await openProvider("auto");
    assertEquals(name, "dawn");
    using gpu = await acquireGpu({ provider });
    assert(gpu.matrixUnits);
    assertEquals(gpu.noMatrixUnits, undefined);
    assertMatch(reason!, new RegExp(gpu.matrixUnits.shape));
    using left = await acquireGpu({ provider, matrixUnits: false });
    assertEquals([left.matrixUnits, left.noMatrixUnits], [undefined, undefined]);
  },
});

Deno.test("auto is native where Dawn does not start; dawn says why it did not", async () => {
  for (
    const [start, message] of [[broken, /no such file/], [
      withoutAdapter,
      /no GPU adapter/,
    ]] as const
  ) {
    const { name, reason } = await openProvider("auto", undefined, start);
    assertEquals(name, "native");
    assertMatch(reason!, message);
    const error = await assertRejects(() => openProvider("dawn", undefined, start), GpuError);
    assertMatch(error.message, message);
  }
  const other = () => Promise.reject(new TypeError("a mistake of this program"));
  await assertRejects(() => openProvider("auto", undefined, other), TypeError);
});

Deno.test("what is not permitted is an error even for auto", async () => {
  for (const name of ["dawn", "auto"] as const) {
    await assertRejects(() => openProvider(name, undefined, forbidden), GpuError, "not permitted");
  }
});

Deno.test("no adapter for Dawn: the message says what to do", () => {
  assertMatch(noDawnAdapterMessage("linux"), /Mesa 22\.3 .* too old.*--gpu native/);
  for (const os of ["darwin", "windows"]) {
    assert(!noDawnAdapterMessage(os).includes("Mesa"));
    assertMatch(noDawnAdapterMessage(os), /--gpu native/);
  }
});

Deno.test({
  ...skipIf(noDawnForm("plain"), "Dawn's matrix units are those that its adapter lists"),
  async fn() {
    const { name } = await openProvider("auto");
    assertEquals(name, dawnForms.has("matrix units") ? "dawn" : "native");
  },
});
