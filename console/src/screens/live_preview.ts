// Diagnostics while one types: the preview of a change, asked for when typing pauses. The parser is the one of `pillion check`.
import { useEffect, useState } from "preact/hooks";
import { post } from "../api/client";
import type { Change, Diagnostic, Preview } from "../api/types";

const PAUSE_MS = 300;
const NONE: Diagnostic[] = [];

export interface LivePreview {
  preview: Preview | undefined;
  diagnostics: Diagnostic[];
  error: Error | undefined;
  busy: boolean;
}

/** `null`: nothing to preview yet. */
export function useLivePreview(change: Change | null): LivePreview {
  const [preview, setPreview] = useState<Preview>();
  const [error, setError] = useState<Error>();
  const [busy, setBusy] = useState(false);
  const key = JSON.stringify(change);
  useEffect(() => {
    if (!change) {
      setPreview(undefined);
      setError(undefined);
      setBusy(false);
      return undefined;
    }
    const controller = new AbortController();
    setBusy(true);
    const timer = setTimeout(async () => {
      try {
        const made = await post<Preview>("changes/preview", { change }, controller.signal);
        setPreview(made);
        setError(undefined);
      } catch (problem) {
        if (controller.signal.aborted) return;
        setError(problem as Error);
      }
      if (!controller.signal.aborted) setBusy(false);
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [key]);
  return { preview, diagnostics: preview?.diagnostics ?? NONE, error, busy };
}

/** The diagnostics that belong to one of the texts that were sent. */
export const ofFile = (diagnostics: Diagnostic[], file: string): Diagnostic[] => diagnostics.filter((one) => one.file === file);
