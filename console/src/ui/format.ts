// Dates in the reader's zone, durations, rates and sizes as people read them.

export function duration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return "–";
  if (ms < 1) return `${ms.toFixed(2)} ms`;
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return minutes < 5 && Math.floor(seconds % 60) ? `${minutes} min ${Math.floor(seconds % 60)} s` : `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} days`;
}

export const seconds = (value: number | null | undefined): string =>
  duration(value === null || value === undefined ? value : value * 1000);

export function date(text: string | null | undefined): string {
  const at = new Date(text ?? "");
  if (Number.isNaN(at.getTime())) return text ?? "–";
  return at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}

export function ago(text: string | null | undefined): string {
  const at = new Date(text ?? "").getTime();
  if (Number.isNaN(at)) return "–";
  const elapsed = Date.now() - at;
  return elapsed < 5000 ? "just now" : `${duration(elapsed)} ago`;
}

export function rate(value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0/s";
  if (value < 0.1) return `${(value * 60).toFixed(1)}/min`;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)}/s`;
}

export function share(value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  const percent = value * 100;
  return `${percent > 0 && percent < 10 ? percent.toFixed(1) : Math.round(percent)} %`;
}

export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  if (value < 1024) return `${value} B`;
  if (value < 1024 * 1024) return `${(value / 1024).toFixed(1)} KiB`;
  return `${(value / 1024 / 1024).toFixed(1)} MiB`;
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString()} ${count === 1 ? one : many}`;
}

/** A value as text: strings as they are, anything else as JSON. */
export function text(value: unknown): string {
  if (value === null || value === undefined) return "–";
  return typeof value === "string" ? value : JSON.stringify(value);
}

export const pretty = (value: unknown): string => JSON.stringify(value, null, 2) ?? "";
