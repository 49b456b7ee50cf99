// The history of the playground as a dialog: choose, or forget all.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { Button } from "../../ui/controls";
import { Empty } from "../../ui/data";
import { Dialog } from "../../ui/dialog";
import { ago } from "../../ui/format";
import { forgetAll, type HistoryEntry } from "./history";

interface HistoryMenuProps {
  entries: HistoryEntry[];
  onChoose: (query: string) => void;
  onChange: (entries: HistoryEntry[]) => void;
}

export function HistoryMenu({ entries, onChoose, onChange }: HistoryMenuProps): JSX.Element {
  const [open, setOpen] = useState(false);
  const footer = (
    <>
      <Button kind="danger" disabled={!entries.length} onClick={() => onChange(forgetAll())}>
        Forget all
      </Button>
      <Button onClick={() => setOpen(false)}>Close</Button>
    </>
  );
  return (
    <>
      <Button onClick={() => setOpen(true)}>History</Button>
      {open ? (
        <Dialog title="History" onClose={() => setOpen(false)} footer={footer}>
          <p class="muted small">In this browser only, without strings, variables, headers and tokens.</p>
          {entries.length ? (
            <ul class="tree">
              {entries.map(({ at, query }) => (
                <li key={at}>
                  <button
                    type="button"
                    onClick={() => {
                      onChoose(query);
                      setOpen(false);
                    }}
                  >
                    {summary(query)} <span class="muted">{ago(at)}</span>
                  </button>
                </li>
              ))}
            </ul>
          ) : (
            <Empty title="Nothing was run yet" />
          )}
        </Dialog>
      ) : null}
    </>
  );
}

function summary(query: string): string {
  const line = query.replace(/#[^\n]*/g, "").replace(/\s+/g, " ").trim();
  return line.length > 110 ? `${line.slice(0, 110)} …` : line;
}
