import { ActionError } from "../pillion/protocol.js";
import type { UserLoginArguments, UserLoginResult } from "../pillion/types.js";

/** A login: success, and an error. */
export async function userLogin({ username, password }: UserLoginArguments): Promise<UserLoginResult> {
  if (password !== "secretpassword") throw new ActionError("invalid credentials");
  return { accessToken: `token of ${username}`, userId: 423 };
}
