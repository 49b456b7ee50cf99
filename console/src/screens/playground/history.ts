// The last documents of the playground, in this browser: documents and names of operations only, no variables, headers or tokens.
const KEY = "pillion.playground.history";
const MAX_ENTRIES = 30;
const MAX_LENGTH = 20_000;

export interface HistoryEntry {
  at: string;
  query: string;
}

export function readHistory(): HistoryEntry[] {
  try {
    const stored = JSON.parse(localStorage.getItem(KEY) ?? "[]") as unknown;
    return Array.isArray(stored) ? stored.filter((entry): entry is HistoryEntry => typeof entry?.query === "string" && typeof entry?.at === "string") : [];
  } catch {
    return [];
  }
}

/** Strings in a document may be secrets, so they are stored as empty. */
export function remember(query: string): HistoryEntry[] {
  const text = withoutStrings(query);
  if (!text.trim() || text.length > MAX_LENGTH) return readHistory();
  const entries = [{ at: new Date().toISOString(), query: text }, ...readHistory().filter((entry) => entry.query !== text)].slice(0, MAX_ENTRIES);
  try {
    localStorage.setItem(KEY, JSON.stringify(entries));
  } catch {
    // The storage is full or switched off: the history ends with the page.
  }
  return entries;
}

export function forgetAll(): HistoryEntry[] {
  try {
    localStorage.removeItem(KEY);
  } catch {
    // There was nothing, then.
  }
  return [];
}

const withoutStrings = (query: string): string => query.replace(/"""[\s\S]*?"""|"(?:[^"\\\n]|\\.)*"/g, '""');
