/** Opens the provider of `--gpu`, and says on standard error what `auto` chose. */

import { openProvider, providerLine, type ProviderName } from "../../gpu/provider.ts";

/** A provider for `acquireGpu`: undefined is Deno's own. Throws as `openProvider`. */
export async function chosenProvider(name: ProviderName): Promise<GPU | undefined> {
  const provider = await openProvider(name);
  const line = providerLine(provider);
  if (line !== undefined) console.error(line);
  return provider.gpu;
}
