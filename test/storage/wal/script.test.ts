import { runScript } from "../../harness/datadriven.ts";
import { WalScript } from "./script.ts";

for (const name of ["operations", "failures", "damage"]) {
  const script = new WalScript();
  runScript(new URL(`${name}.txt`, import.meta.url), (command) => script.run(command));
}
