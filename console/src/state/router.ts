// Routes: the path below /console/ as segments, and its query.
import { signal } from "@preact/signals";

export interface Route {
  segments: string[];
  query: URLSearchParams;
}

const BASE = "/console/";

export const route = signal<Route>(read());

addEventListener("popstate", () => {
  route.value = read();
});

/** The address of a screen: `href("actions", name)`. */
export function href(...segments: string[]): string {
  return BASE + segments.map(encodeURIComponent).join("/");
}

export function navigate(address: string): void {
  if (address === location.pathname + location.search) return;
  history.pushState(null, "", address);
  route.value = read();
  scrollTo(0, 0);
}

/** Replaces the query of the address, so that a filter or a tab can be linked to. */
export function replaceQuery(parameters: Record<string, string | null>): void {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(parameters)) {
    if (value) query.set(name, value);
    else query.delete(name);
  }
  const text = query.toString();
  history.replaceState(null, "", location.pathname + (text ? `?${text}` : ""));
  route.value = read();
}

/** Follows links of the console without loading the page again. */
export function followLinks(event: MouseEvent): void {
  const link = (event.target as Element | null)?.closest?.("a[href]");
  if (!(link instanceof HTMLAnchorElement) || event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  if (link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
  if (!link.pathname.startsWith(BASE) || /\/(api\/|login|NOTICE\.txt)/.test(link.pathname)) return;
  if (link.hash && link.pathname === location.pathname) return;
  event.preventDefault();
  navigate(link.pathname + link.search);
}

function read(): Route {
  const path = location.pathname.startsWith(BASE) ? location.pathname.slice(BASE.length) : "";
  return { segments: path.split("/").filter(Boolean).map(decode), query: new URLSearchParams(location.search) };
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
