import { ActionError, type Call } from "../pillion/protocol.js";
import type { Auth0Arguments, Auth0Result } from "../pillion/types.js";

/** A profile from elsewhere, by the session's user. */
export async function auth0(_input: Auth0Arguments, call: Call): Promise<Auth0Result> {
  const user = call.session["x-hasura-user-id"];
  const headers = { Authorization: "Bearer " + process.env.AUTH0_MANAGEMENT_API_TOKEN };
  const response = await fetch(`${process.env.IDENTITY_API}/api/v2/users/${user}`, { headers });
  const profile = await response.json();
  if (!profile || !user) throw new ActionError("error happened");
  return { id: profile.user_id, email: profile.email, picture: profile.picture };
}
