/**
 * The adapters that a provider has, and the choice of one of them. WebGPU has no list of adapters: it
 * gives one for a wish. So each wish is made, and what is given is told apart by what it says of itself.
 */

/** An adapter that can be chosen. */
export interface AdapterFound {
  /** Its place among those found, from 0; the first one is taken unless another is asked for. */
  readonly index: number;
  /** Name, from the driver. */
  readonly name: string;
  /** Vendor, architecture, device and description, by which the provider distinguishes adapters. */
  readonly identity: string;
  /** Whether it computes on the host's processor. */
  readonly software: boolean;
  /** The wish that it is given for. */
  readonly wish: GPURequestAdapterOptions;
}

/** The wishes. With the first one, an adapter is taken that nobody asked for by name. */
const WISHES: readonly [GPURequestAdapterOptions, ...GPURequestAdapterOptions[]] = [
  { powerPreference: "high-performance" },
  { powerPreference: "low-power" },
  { powerPreference: "high-performance", forceFallbackAdapter: true },
];

/** An adapter's name, from the driver. */
export function adapterName({ info }: GPUAdapter): string {
  return info?.description || info?.device || "unnamed adapter";
}

/** Vendor, architecture, device and description. */
export function adapterIdentity({ info }: GPUAdapter): string {
  const { vendor, architecture, device, description } = info ?? {};
  return [vendor, architecture, device, description].filter(Boolean).join(", ");
}

/** Whether it computes on the host, from its own information; some providers omit that. */
export function isSoftware(adapter: GPUAdapter): boolean {
  const { isFallbackAdapter } = (adapter.info ?? {}) as { readonly isFallbackAdapter?: boolean };
  return isFallbackAdapter ??
    /llvmpipe|lavapipe|swiftshader|basic render/i.test(adapterName(adapter));
}

/** The adapters that the provider gives, each once, the one that is taken by default first. */
export async function findAdapters(provider: GPU): Promise<AdapterFound[]> {
  const found: AdapterFound[] = [];
  for (const wish of WISHES) {
    const adapter = await provider.requestAdapter(wish);
    if (!adapter) continue;
    const [name, identity] = [adapterName(adapter), adapterIdentity(adapter)];
    const software = isSoftware(adapter);
    if (found.some((one) => one.identity === identity && one.software === software)) continue;
    found.push({ index: found.length, name, identity, software, wish });
  }
  return found;
}

/**
 * The adapter that was asked for, among those found.
 * @param wanted its index, its name, or a part of its name that no other has; case does not matter
 * @returns the adapter, or why there is none, in a sentence that lists those there are
 */
export function chosenAdapter(
  found: readonly AdapterFound[],
  wanted: string,
): AdapterFound | string {
  const text = wanted.trim().toLowerCase();
  if (/^\d+$/.test(text) && Number(text) < found.length) return found[Number(text)];
  const same = found.filter(({ name }) => name.toLowerCase() === text);
  const alike = same.length > 0 || text === ""
    ? same
    : found.filter(({ name }) => name.toLowerCase().includes(text));
  if (alike.length === 1) return alike[0];
  const list = found.map(({ index, name }) => `  ${index}: ${name}`).join("\n");
  const problem = alike.length === 0
    ? "there is no such adapter"
    : `${alike.length} have this name`;
  return `adapter ${wanted}: ${problem}. Choose by index or name among:\n${list}`;
}

/**
 * Requests an adapter.
 * @param wanted as for {@linkcode chosenAdapter}; undefined takes the first
 * @returns the adapter; undefined if there are none at all; or why there is none that was asked for
 */
export async function requestAdapter(
  provider: GPU,
  wanted?: string,
): Promise<GPUAdapter | undefined | string> {
  if (wanted === undefined) return await provider.requestAdapter(WISHES[0]) ?? undefined;
  const found = await findAdapters(provider);
  if (found.length === 0) return undefined;
  const chosen = chosenAdapter(found, wanted);
  if (typeof chosen === "string") return chosen;
  return await provider.requestAdapter(chosen.wish) ?? undefined;
}
