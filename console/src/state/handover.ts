// An operation that goes from the playground to the dialog that derives an action: in memory, as it may have secrets in it.
import { signal } from "@preact/signals";

export const operationToDerive = signal<string | null>(null);
