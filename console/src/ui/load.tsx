// Loading of data for a screen: with progress, errors that say what to do, and a refresh in an interval while the page is visible.
import type { ComponentChildren, JSX } from "preact";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ApiError } from "../api/client";
import { Problem } from "./problem";

export interface Loading<T> {
  data: T | undefined;
  error: Error | undefined;
  busy: boolean;
  reload: () => Promise<void>;
}

export function useLoad<T>(load: (signal: AbortSignal) => Promise<T>, inputs: unknown[], refreshMs?: number): Loading<T> {
  const [data, setData] = useState<T>();
  const [error, setError] = useState<Error>();
  const [busy, setBusy] = useState(true);
  const running = useRef<AbortController>();

  const reload = useCallback(async () => {
    running.current?.abort();
    const controller = new AbortController();
    running.current = controller;
    setBusy(true);
    try {
      const loaded = await load(controller.signal);
      if (controller.signal.aborted) return;
      setData(() => loaded);
      setError(undefined);
    } catch (problem) {
      if (controller.signal.aborted) return;
      setError(problem as Error);
    }
    setBusy(false);
    // What it depends on is what the caller names.
  }, inputs);

  useEffect(() => {
    setData(undefined);
    void reload();
    return () => running.current?.abort();
  }, [reload]);

  useEffect(() => {
    if (!refreshMs) return undefined;
    const timer = setInterval(() => !document.hidden && void reload(), refreshMs);
    return () => clearInterval(timer);
  }, [reload, refreshMs]);

  return { data, error, busy, reload };
}

/** The value after it has not changed for a moment, for what is loaded as one types. */
export function useSettled<T>(value: T, pauseMs = 400): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(() => value), pauseMs);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}

interface LoadedProps<T> {
  of: Loading<T>;
  what: string;
  missing?: ComponentChildren;
  children: (data: T) => ComponentChildren;
}

/** What was loaded, or progress, or why it could not be. */
export function Loaded<T>({ of, what, missing, children }: LoadedProps<T>): JSX.Element {
  if (of.error instanceof ApiError && of.error.status === 404 && missing) return <>{missing}</>;
  if (of.data === undefined) {
    return of.error ? <Problem error={of.error} retry={of.reload} /> : <Progress what={what} />;
  }
  return (
    <>
      {of.error ? <Problem error={of.error} retry={of.reload} /> : null}
      {children(of.data)}
    </>
  );
}

export function Progress({ what }: { what: string }): JSX.Element {
  return (
    <div class="stack tight" role="status">
      <div class="progress" />
      <span class="muted small">Loading {what} …</span>
    </div>
  );
}
