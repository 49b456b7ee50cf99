// The new name of an action that is cloned or renamed.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { Button, TextField } from "../ui/controls";
import { Dialog } from "../ui/dialog";

interface NameDialogProps {
  kind: "clone" | "rename";
  action: string;
  onClose: () => void;
  onName: (name: string) => void;
}

export function NameDialog({ kind, action, onClose, onName }: NameDialogProps): JSX.Element {
  const [name, setName] = useState(kind === "clone" ? `${action}Copy` : action);
  return (
    <Dialog
      narrow
      title={kind === "clone" ? `Clone ${action}` : `Rename ${action}`}
      onClose={onClose}
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" disabled={!name.trim()} onClick={() => onName(name.trim())}>
            Preview
          </Button>
        </>
      }
    >
      <TextField label="New name" mono value={name} onInput={setName} hint={kind === "rename" ? "Permissions, settings and relationships that name the action follow." : undefined} />
    </Dialog>
  );
}
