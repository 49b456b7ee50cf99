import type { Call } from "../pillion/protocol.js";
import type { SyncWithCrmArguments, SyncWithCrmResult } from "../pillion/types.js";

/** Another service in the background, by the session's user in a header. */
export async function syncWithCrm({ contacts }: SyncWithCrmArguments, call: Call): Promise<SyncWithCrmResult> {
  const user = call.headers["x-hasura-user-id"];
  if (user !== call.session["x-hasura-user-id"]) return { success: false, message: "CRM sync failed" };
  return { success: true, synced_count: contacts.length, failed_count: 0, message: `CRM sync of ${user} completed` };
}
