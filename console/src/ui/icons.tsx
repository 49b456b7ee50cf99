// Icons as paths: 16 × 16, drawn with the current colour, hidden from screen readers.
import type { JSX } from "preact";

const PATHS = {
  overview: "M2 9h3l2-5 3 8 2-5h2",
  playground: "M4 3l9 5-9 5z",
  actions: "M9 1.5L3 9h4.5L7 14.5 13 7H8.5z",
  import: "M8 2v8M4.5 7L8 10.5 11.5 7M3 13.5h10",
  jobs: "M8 4.5V8l2.5 1.5M8 1.8a6.2 6.2 0 1 1 0 12.4A6.2 6.2 0 0 1 8 1.8",
  schema: "M8 1.8l5.4 3.1v6.2L8 14.2l-5.4-3.1V4.9zM2.6 4.9L8 8l5.4-3.1M8 8v6.2",
  settings: "M2 4.5h7M12.5 4.5H14M2 11.5h1.5M7 11.5h7M10.7 2.8a1.7 1.7 0 1 1 0 3.4 1.7 1.7 0 0 1 0-3.4M5.2 9.8a1.7 1.7 0 1 1 0 3.4 1.7 1.7 0 0 1 0-3.4",
  metrics: "M2.5 14V9M6.2 14V4M9.8 14V7M13.5 14V2",
  close: "M3.5 3.5l9 9M12.5 3.5l-9 9",
  menu: "M2 4h12M2 8h12M2 12h12",
  search: "M7 2.2a4.8 4.8 0 1 1 0 9.6 4.8 4.8 0 0 1 0-9.6M10.5 10.5L14 14",
  sun: "M8 5a3 3 0 1 1 0 6 3 3 0 0 1 0-6M8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1",
  moon: "M13.5 9.6A6 6 0 0 1 6.4 2.5a6 6 0 1 0 7.1 7.1z",
  system: "M2 2.8h12v8H2zM6 14h4M8 10.8V14",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }): JSX.Element {
  return (
    <svg viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}

export function Logo(): JSX.Element {
  return (
    <svg viewBox="0 0 32 32" fill="none" stroke-width="2.6" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
      <rect width="32" height="32" rx="7" fill="#0f6d63" />
      <circle cx="10.5" cy="20.5" r="4.5" stroke="#fff" />
      <circle cx="22" cy="20.5" r="4.5" stroke="#bfe9e2" />
      <path d="M9 11h8l5 9" stroke="#fff" />
    </svg>
  );
}
