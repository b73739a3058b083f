/** The systems that one file is made for. */

/** Version of Deno that files are made around: what the tests run on. */
export const DENO_VERSION = "2.9.6";

/** A system, and the Deno that runs on it. */
export interface Target {
  /** Package of `@deno` on npm that holds the program. */
  readonly npm: string;
  /** SHA-512 of that package, as npm writes it. */
  readonly integrity: string;
  /** `uname -s` and `uname -m` of the system, as a pattern of the shell; absent for Windows. */
  readonly uname?: string;
}

/** By the names that `deno compile --target` takes. */
export const TARGETS = {
  "x86_64-unknown-linux-gnu": {
    npm: "linux-x64-glibc",
    integrity:
      "sha512-3md4TKLCuzsLDmfOoC5KN7NAZaxSVkMgm64vg6foD00JBADCpYS2/5QqXfzgnP5ZQz3iLP9vBQJtEgc116OAoQ==",
    uname: "Linux:x86_64",
  },
  "aarch64-unknown-linux-gnu": {
    npm: "linux-arm64-glibc",
    integrity:
      "sha512-poqhoH9B3nYloigEMPT5t8HY+wBeiuea1An5Q7fqgJzP0SYmWsoS/oUnWO/pEiA4ofzIBy1Elt/in58xKtxEoQ==",
    uname: "Linux:aarch64",
  },
  "x86_64-apple-darwin": {
    npm: "darwin-x64",
    integrity:
      "sha512-tPi3CWPRdjW1MaWlvWjORE7Ass5SADdWdj1BF1Q1PEdzi+5u/mC5YhmZzniMiPr81PpaFeqjXaLAsfb8lFsZ0Q==",
    // Rosetta runs it on arm64.
    uname: "Darwin:*",
  },
  "aarch64-apple-darwin": {
    npm: "darwin-arm64",
    integrity:
      "sha512-V8uO1Aolrl/yvdMb5lOtgtigs8YuZBjrOrgviVMiYkQ0swymFfzkae1wZak4Xi24t7vf7d/eiMb/7ryjjVm+tg==",
    uname: "Darwin:arm64",
  },
  "x86_64-pc-windows-msvc": {
    npm: "win32-x64",
    integrity:
      "sha512-qRGnmVz/Ea6UWPht/S3xFRK17UZ/ls38DSVfgGB17fpASLxPkksqzWUI/BzL9YYoOknYzfc94mySGyInZu/JXw==",
  },
} as const satisfies Readonly<Record<string, Target>>;

/** Name of a target. */
export type TargetName = keyof typeof TARGETS;

/** All names. */
export const TARGET_NAMES = Object.keys(TARGETS) as TargetName[];

/** The system that this process runs on. @throws {Error} where no file is made for it */
export function ownTarget(): TargetName {
  const own = TARGET_NAMES.find((name) => name === Deno.build.target);
  if (own) return own;
  throw new Error(`${Deno.build.target}: no file is made for it. Name a --target.`);
}
