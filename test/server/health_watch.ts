/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/**
 * In a Worker, so that only the server is measured: asks for `/health` until it is told to end. How late
 * its own clock wakes it tells what of a time is the machine's, which is busy with others as well.
 */

const scope = self as unknown as DedicatedWorkerGlobalScope;
const INTERVAL = 100;

scope.onmessage = async ({ data: { url, seconds } }: MessageEvent) => {
  const end = performance.now() + 1000 * seconds;
  const milliseconds: number[] = [];
  const late: number[] = [];
  const wrong: string[] = [];
  while (performance.now() < end) {
    const before = performance.now();
    try {
      const response = await fetch(`${url}/health`);
      await response.body?.cancel();
      if (response.ok) milliseconds.push(performance.now() - before);
      else wrong.push(`health ${response.status}`);
    } catch (error) {
      wrong.push(`health ${error}`);
    }
    const slept = performance.now();
    await new Promise((resolve) => setTimeout(resolve, INTERVAL));
    late.push(performance.now() - slept - INTERVAL);
  }
  scope.postMessage({ milliseconds, late, wrong });
};
