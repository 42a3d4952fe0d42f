import process from "node:process";
import { run } from "./cli/mod.ts";

// The first two entries of argv are the runtime's; argv0 is the name the executable was called by.
process.exit(await run([process.argv0, ...process.argv.slice(2)], process.env));
