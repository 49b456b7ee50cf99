// Short messages about what was done, read out by screen readers.
import { signal } from "@preact/signals";

export interface Toast {
  id: number;
  kind: "ok" | "error";
  text: string;
}

export const toasts = signal<Toast[]>([]);

const SHOWN_MS = 6000;
const MAX_SHOWN = 4;
let last = 0;

export function toast(text: string, kind: Toast["kind"] = "ok"): void {
  last += 1;
  const id = last;
  toasts.value = [...toasts.value, { id, kind, text }].slice(-MAX_SHOWN);
  setTimeout(() => dismiss(id), kind === "error" ? SHOWN_MS * 2 : SHOWN_MS);
}

export function dismiss(id: number): void {
  toasts.value = toasts.value.filter((shown) => shown.id !== id);
}
