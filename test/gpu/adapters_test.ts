import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import {
  type AdapterFound,
  chosenAdapter,
  findAdapters,
  requestAdapter,
} from "../../src/gpu/adapters.ts";
import { acquireGpu, GpuError, prepareEnvironment } from "../../src/gpu/device.ts";

/** An adapter that only says what it is. */
const adapter = (description: string, isFallbackAdapter = false) =>
  ({
    info: { vendor: "v", architecture: "", device: "", description, isFallbackAdapter },
  }) as unknown as GPUAdapter;

/** A laptop: a fast GPU, a frugal one, and the software adapter. */
const LAPTOP = {
  requestAdapter({ powerPreference, forceFallbackAdapter }: GPURequestAdapterOptions = {}) {
    if (forceFallbackAdapter) return Promise.resolve(adapter("llvmpipe", true));
    return Promise.resolve(
      adapter(powerPreference === "low-power" ? "Intel Arc" : "NVIDIA RTX"),
    );
  },
} as unknown as GPU;

Deno.test("each adapter is found once, the default one first", async () => {
  const found = await findAdapters(LAPTOP);
  assertEquals(
    found.map(({ index, name, software }) => [index, name, software]),
    [[0, "NVIDIA RTX", false], [1, "Intel Arc", false], [2, "llvmpipe", true]],
  );
  const none = { requestAdapter: () => Promise.resolve(null) } as unknown as GPU;
  assertEquals(await findAdapters(none), []);
  assertEquals(await requestAdapter(none, "0"), undefined);
});

Deno.test("an adapter is chosen by index, name, or a part of the name that is its own", async () => {
  const named = async (wanted?: string) => {
    const given = await requestAdapter(LAPTOP, wanted);
    return typeof given === "string" ? given : given?.info.description;
  };
  for (const wanted of [undefined, "0", "NVIDIA RTX", "nvidia", " rtx "]) {
    assertEquals(await named(wanted), "NVIDIA RTX", wanted);
  }
  for (const wanted of ["1", "intel arc"]) assertEquals(await named(wanted), "Intel Arc");
  assertEquals(await named("LLVM"), "llvmpipe");
  for (const wanted of ["3", "AMD", ""]) {
    assertMatch(
      await named(wanted) ?? "",
      /no such adapter\..*\n {2}0: NVIDIA RTX\n {2}1: Intel Arc\n {2}2: llvmpipe$/,
    );
  }
  assertMatch(await named("i") ?? "", /3 have this name/);
  const twins = ["A", "A"].map((name, index) => ({ index, name }) as AdapterFound);
  assertMatch(chosenAdapter(twins, "a") as string, /2 have this name/);
  assertEquals(chosenAdapter(twins, "1"), twins[1]);
});

Deno.test("a device of this machine is opened by its index and by its name; another is refused", async () => {
  prepareEnvironment();
  const found = await findAdapters(navigator.gpu);
  assert(found.length > 0);
  for (const { index, name, identity } of found) {
    using byIndex = await acquireGpu({ adapter: `${index}` });
    assertEquals([byIndex.name, byIndex.identity], [name, identity]);
    if (found.filter((one) => one.name === name).length > 1) continue;
    using byName = await acquireGpu({ adapter: name });
    assertEquals(byName.identity, identity);
  }
  const error = await assertRejects(() => acquireGpu({ adapter: "Voodoo 2" }), GpuError);
  assertMatch(error.message, new RegExp(`Voodoo 2: .*among:\\n {2}0: `));
});
