// Who may call this action.
import type { JSX } from "preact";
import { get } from "../../api/client";
import type { ActionDetail } from "../../api/types";
import { Loaded, useLoad } from "../../ui/load";
import { PermissionGrid } from "../permission_grid";

export function PermissionsTab({ action, onSaved }: { action: ActionDetail; onSaved: () => unknown }): JSX.Element {
  const roles = useLoad((signal) => get<{ roles: string[] }>("roles", signal), []);
  return (
    <Loaded of={roles} what="the roles">
      {(data) => <PermissionGrid actions={[action]} roles={data.roles} onSaved={onSaved} />}
    </Loaded>
  );
}
