/** The table: medians of etcd and of the subject side by side, their ratio, the bar, and whether it is reached. */
import type { ServerKind } from "../interop/process.ts";
import { type Figures, median } from "./measure.ts";
import type { Bar, FigureDefinition, Scale } from "./definitions.ts";
import { ROWS } from "./rows.ts";

/** Per server and row, the figures of each round. */
export type Measured = Record<ServerKind, Record<string, Figures[]>>;

const COLUMNS = [52, 30, 12, 12, 9, 10] as const;

export function printTable(measured: Measured, scale: Scale, wanted: (row: string) => boolean): void {
  console.log(line(["work", "figure", "etcd", "keelson", "ratio", "to reach", ""]));
  let reached = 0, missed = 0;
  for (const row of ROWS) {
    if (!wanted(row.name)) continue;
    let title = row.title;
    if (["million", "registry", "disk", "cluster-join"].includes(row.name)) {
      title = `${scale.largeKeys.toLocaleString("en")} ${title}`;
    }
    for (const [name, definition] of Object.entries(row.figures)) {
      const etcd = summary(measured.etcd[row.name], name, definition);
      const subject = summary(measured.subject[row.name], name, definition);
      const verdict = judge(definition.bar, etcd, subject);
      if (verdict === "reached") reached++;
      if (verdict === "FALLS SHORT") missed++;
      const ratio = etcd !== undefined && subject !== undefined ? `${showRatio(subject / etcd)} x` : "";
      console.log(line([
        title,
        `${definition.title}${definition.unit && `, ${definition.unit}`}`,
        show(definition, etcd),
        show(definition, subject),
        ratio,
        showBar(definition.bar),
        verdict,
      ]));
      title = "";
    }
  }
  console.log(
    `${reached} reached, ${missed} fall short (medians of ${scale.rounds} rounds; large stores once; ${
      scale.killRounds * scale.killsPerRound
    } kills)`,
  );
}

function line(cells: string[]): string {
  return cells.map((cell, at) => at < 2 ? cell.padEnd(COLUMNS[at]!) : cell.padStart(COLUMNS[at] ?? 0)).slice(0, 6).join(
    " ",
  ) +
    `  ${cells[6]!}`;
}

function summary(
  rounds: Figures[] | undefined,
  name: string,
  definition: FigureDefinition,
): number | undefined {
  const values = (rounds ?? []).map((figures) => figures[name]).filter((value) => value !== undefined);
  if (values.length === 0) return undefined;
  return definition.isWorst ? Math.max(...values) : median(values);
}

function show(definition: FigureDefinition, value: number | undefined): string {
  return value === undefined ? "-" : value.toLocaleString("en", {
    minimumFractionDigits: definition.digits,
    maximumFractionDigits: definition.digits,
  });
}

function showRatio(ratio: number): string {
  return ratio.toFixed(ratio < 0.1 ? 3 : 2);
}

function showBar(bar: Bar | undefined): string {
  if (bar === undefined) return "";
  const unit = bar.kind === "ratio" ? " x" : "";
  const [sign, value] = bar.least !== undefined ? [">=", bar.least] : ["<=", bar.most!];
  return `${sign} ${Number(value.toFixed(2))}${unit}`;
}

function judge(bar: Bar | undefined, etcd: number | undefined, subject: number | undefined): string {
  if (bar === undefined) return "";
  if (subject === undefined || bar.kind === "ratio" && etcd === undefined) return "not measured";
  const value = bar.kind === "ratio" ? subject / etcd! : subject;
  const holds = (bar.least === undefined || value >= bar.least) && (bar.most === undefined || value <= bar.most);
  return holds ? "reached" : "FALLS SHORT";
}
