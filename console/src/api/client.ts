// Calls of the console's API. Same origin only; the session is a cookie that scripts cannot read.
import type { Diagnostic, Json } from "./types";

const BASE = "/console/api/";

/** An error response of the API, or none at all (status 0). */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly diagnostics: Diagnostic[] = [],
  ) {
    super(message);
  }
}

export function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return call<T>(path, { method: "GET", signal: signal ?? null });
}

export function post<T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> {
  return call<T>(path, { ...json(body), signal: signal ?? null });
}

/** A POST whose response is read as it arrives. */
export async function stream(path: string, body: unknown, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
  const response = await send(path, { ...json(body), signal });
  if (!response.ok || !response.body) throw await failure(response);
  return response.body;
}

/** `a=1&b=2` of what is not empty. */
export function query(parameters: Record<string, string | null | undefined>): string {
  const given = Object.entries(parameters).filter((entry): entry is [string, string] => !!entry[1]);
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

function json(body: unknown): RequestInit {
  return { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}

async function call<T>(path: string, init: RequestInit): Promise<T> {
  const response = await send(path, init);
  if (!response.ok) throw await failure(response);
  const text = await response.text();
  return (text ? JSON.parse(text) : null) as T;
}

async function send(path: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(BASE + path, { ...init, credentials: "same-origin" });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ApiError("Pillion does not respond. Is it still running?", 0);
  }
}

async function failure(response: Response): Promise<ApiError> {
  if (response.status === 401) location.assign("/console/login");
  const text = await response.text();
  try {
    const { error } = JSON.parse(text) as { error: { message: string; diagnostics?: Diagnostic[] } };
    return new ApiError(error.message, response.status, error.diagnostics ?? []);
  } catch {
    return new ApiError(text || `Pillion responded with status ${response.status}.`, response.status);
  }
}

export function parseJson(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}
