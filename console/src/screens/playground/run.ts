// Runs an operation over HTTP, WebSocket or SSE, and asks for its plan beside it.
import { useRef, useState } from "preact/hooks";
import { post, stream } from "../../api/client";
import type { Operation, Plan, RunResult } from "../../api/types";
import { readEvents } from "./event_stream";
import type { Transport } from "./playground";

/** Older results of a subscription are dropped from the page. */
const MAX_EVENTS = 200;

export interface StreamedEvent {
  at: number;
  event: string;
  data: unknown;
}

export interface Run {
  running: boolean;
  result: RunResult | null;
  events: StreamedEvent[] | null;
  plan: Plan | null;
  planError: Error | undefined;
  error: Error | undefined;
  start: (operation: Operation, transport: Transport) => Promise<void>;
  explain: (operation: Operation) => Promise<void>;
  stop: () => void;
}

export function useRun(): Run {
  const [running, setRunning] = useState(false);
  const [result, setResult] = useState<RunResult | null>(null);
  const [events, setEvents] = useState<StreamedEvent[] | null>(null);
  const [plan, setPlan] = useState<Plan | null>(null);
  const [planError, setPlanError] = useState<Error>();
  const [error, setError] = useState<Error>();
  const controller = useRef<AbortController>();

  const explain = async (operation: Operation) => {
    try {
      setPlan(await post<Plan>("explain", operation));
      setPlanError(undefined);
    } catch (problem) {
      setPlan(null);
      setPlanError(problem as Error);
    }
  };
  const start = async (operation: Operation, transport: Transport) => {
    controller.current?.abort();
    const current = new AbortController();
    controller.current = current;
    setRunning(true);
    setError(undefined);
    setResult(null);
    setEvents(transport === "http" ? null : []);
    void explain(operation);
    try {
      if (transport === "http") setResult(await post<RunResult>("run", operation, current.signal));
      else {
        const body = await stream("stream", { ...operation, transport }, current.signal);
        for await (const { event, data } of readEvents(body)) {
          const one = { at: Date.now(), event, data: parsed(data) };
          setEvents((before) => [...(before ?? []), one].slice(-MAX_EVENTS));
        }
      }
    } catch (problem) {
      if (!current.signal.aborted) setError(problem as Error);
    }
    if (controller.current === current) setRunning(false);
  };
  const stop = () => {
    controller.current?.abort();
    setRunning(false);
  };
  return { running, result, events, plan, planError, error, start, explain, stop };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
