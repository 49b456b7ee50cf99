import type { BulkCreateUsersArguments, BulkCreateUsersResult, UserCreationResult } from "../pillion/types.js";

/** Many at once, with a default in the input. */
export async function bulkCreateUsers({ input }: BulkCreateUsersArguments): Promise<BulkCreateUsersResult> {
  const email_verified = input.send_invitations ?? false;
  const results = input.users.map(({ email, name }): UserCreationResult => {
    if (!email.includes("@")) return { email, success: false, user: null, error: "not an address" };
    return { email, success: true, user: { id: "7b0e3c4e-0000-4000-8000-000000000002", email, name, email_verified } };
  });
  const created_count = results.filter((result) => result.success).length;
  return { success: true, created_count, failed_count: results.length - created_count, results };
}
