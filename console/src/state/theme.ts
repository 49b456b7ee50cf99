// The theme as a signal: applied when it changes, remembered for the next visit.
import { effect, signal } from "@preact/signals";
import { applyTheme, storeTheme, storedTheme, type Theme } from "./theme_choice";

export const theme = signal<Theme>(storedTheme());

effect(() => applyTheme(theme.value));

export function chooseTheme(chosen: Theme): void {
  theme.value = chosen;
  storeTheme(chosen);
}
