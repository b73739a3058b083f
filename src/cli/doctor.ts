/** `unmask doctor`: what works on this machine, and what to do about the rest. */

import { Command } from "commander";
import { FittedTable, terminalColumns } from "../bench/fitted_table.ts";
import { addDeviceOptions, type DeviceFlags, deviceOf } from "./device_options.ts";
import { deviceFindings } from "./doctor/device_findings.ts";
import type { Finding } from "./doctor/finding.ts";
import { modelFindings, placesFinding } from "./doctor/model_findings.ts";
import { systemFindings } from "./doctor/system_findings.ts";
import { addDraftOptions, modelOption, wholeNumber } from "./options.ts";

/** Columns that the table takes at most: sentences are read more easily in short lines. */
const WIDEST = 80;

interface DoctorFlags extends DeviceFlags {
  readonly model: string;
  readonly draft?: string | boolean;
  readonly host: string;
  readonly port: number;
  readonly json?: boolean;
}

/** `unmask doctor` */
export function doctorCommand(): Command {
  return addDeviceOptions(addDraftOptions(new Command("doctor")))
    .addOption(modelOption())
    .option("--host <address>", "address on which serve would listen", "127.0.0.1")
    .option("-p, --port <n>", "port on which serve would listen", wholeNumber(1, 65535), 8000)
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `
Weights are not loaded, and nothing is kept. Exit code 1 when there is a problem; a warning is none.

Examples:
  unmask doctor
  unmask doctor --model ~/models/LLaDA-8B-Instruct`,
    )
    .action(run);
}

async function run(flags: DoctorFlags): Promise<void> {
  const system = systemFindings(flags.host, flags.port);
  const { findings: device, gpu } = await deviceFindings(deviceOf(flags));
  using _gpu = gpu;
  const models = [placesFinding(), ...await modelFindings(flags, gpu)];
  const findings = [...system, ...device, ...models];
  const count = (state: Finding["state"]) => findings.filter((one) => one.state === state).length;
  const problems = count("problem");
  if (flags.json) console.log(JSON.stringify({ ok: problems === 0, findings }, null, 2));
  else {
    console.log(findingsTable(findings).toString(Math.min(WIDEST, terminalColumns())));
    console.log(`${counted(problems, "problem")}, ${counted(count("warning"), "warning")}.`);
  }
  if (problems > 0) Deno.exitCode = 1;
}

function findingsTable(findings: readonly Finding[]): FittedTable {
  const table = new FittedTable({ rules: "none" });
  for (const { state, what, found, advice } of findings) {
    table.push([state, what, advice === undefined ? found : `${found}\n=> ${advice}`]);
  }
  return table;
}

function counted(count: number, thing: string): string {
  return `${count === 0 ? "no" : count} ${thing}${count === 1 ? "" : "s"}`;
}
