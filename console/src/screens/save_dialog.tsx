// Saving: always a diff of the files first. A conflict is said and can be previewed again; without a writable store there is a patch to copy.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { ApiError, post } from "../api/client";
import type { Change, Edit, Preview, Saved } from "../api/types";
import { toast } from "../state/toasts";
import { Button, CopyButton } from "../ui/controls";
import { Diff } from "../ui/data";
import { Dialog } from "../ui/dialog";
import { Loaded, useLoad } from "../ui/load";
import { Diagnostics, Problem } from "../ui/problem";

interface SaveDialogProps {
  change: Change;
  title: string;
  onClose: () => void;
  onSaved: (saved: Saved) => void;
}

export function SaveDialog({ change, title, onClose, onSaved }: SaveDialogProps): JSX.Element {
  const preview = useLoad((signal) => post<Preview>("changes/preview", { change }, signal), []);
  const [saving, setSaving] = useState(false);
  const [problem, setProblem] = useState<Error>();
  const shown = preview.data;
  const conflict = problem instanceof ApiError && problem.status === 409;

  const save = async () => {
    if (!shown) return;
    setSaving(true);
    setProblem(undefined);
    try {
      const saved = await post<Saved>("changes/save", { change, revision: shown.revision });
      if (saved.reload.ok) toast(shown.summary ? `Saved: ${shown.summary}.` : "Saved.");
      else toast(`Saved, but not in effect: ${saved.reload.message ?? "the reload was rejected"}`, "error");
      onSaved(saved);
    } catch (error) {
      setProblem(error as Error);
    }
    setSaving(false);
  };
  const again = async () => {
    setProblem(undefined);
    await preview.reload();
  };

  const savable = shown?.ok && shown.writable && shown.edits.length > 0 && !conflict;
  const footer = (
    <>
      {shown?.edits.length ? <CopyButton label="Copy patch" text={() => patch(shown.edits)} /> : null}
      {conflict ? <Button onClick={again}>Preview again</Button> : null}
      <Button onClick={onClose}>Cancel</Button>
      {shown && !shown.writable ? null : (
        <Button kind="primary" onClick={save} busy={saving} disabled={!savable}>
          Save
        </Button>
      )}
    </>
  );
  return (
    <Dialog title={title} onClose={onClose} footer={footer}>
      {conflict ? (
        <div class="notice error" role="alert">
          <strong>The files have changed since this preview, so nothing was written.</strong>
          <span class="muted">Another tab, an editor or a deployment saved meanwhile. Preview again to see your change on top of theirs.</span>
        </div>
      ) : problem ? (
        <Problem error={problem} />
      ) : null}
      <Loaded of={preview} what="the preview">
        {(data) => <PreviewBody of={data} />}
      </Loaded>
    </Dialog>
  );
}

function PreviewBody({ of }: { of: Preview }): JSX.Element {
  return (
    <>
      {of.ok ? null : <p>This cannot be saved as it is:</p>}
      <Diagnostics of={of.diagnostics} label="What is wrong with the change" />
      {of.writable ? null : (
        <div class="notice warn">
          <strong>The files cannot be written from here{of.not_writable_because ? `: ${of.not_writable_because}` : ""}.</strong>
          <span class="muted">
            Copy the patch, apply it where the files are kept, with <code>patch -p0</code>, and reload.
          </span>
        </div>
      )}
      {of.edits.map((edit) => (
        <div class="stack tight" key={edit.path}>
          <h3>
            <code>{edit.path}</code> {edit.created ? <span class="muted">is created</span> : null}
          </h3>
          <Diff text={edit.diff} label={`Changes of ${edit.path}`} />
        </div>
      ))}
      {of.ok && !of.edits.length ? <p class="muted">Nothing would change.</p> : null}
      {of.notes.map((note) => (
        <p class="muted" key={note}>
          {note}
        </p>
      ))}
      {of.variables.length ? (
        <div class="notice info">
          <strong>Set these variables where Pillion runs:</strong>
          {of.variables.map(({ name, purpose }) => (
            <span key={name}>
              <code>{name}</code> {purpose}
            </span>
          ))}
        </div>
      ) : null}
      {of.left_out.length ? (
        <>
          <h3>Left out</h3>
          <Diagnostics of={of.left_out} label="Left out" />
        </>
      ) : null}
    </>
  );
}

/** All edits as one patch. */
export function patch(edits: Edit[]): string {
  return edits.map(({ diff }) => (diff.endsWith("\n") ? diff : `${diff}\n`)).join("");
}

