import { ActionError, type Call } from "../pillion/protocol.js";
import type { RegisteredUser, RegisterUserArguments, RegisterUserResult } from "../pillion/types.js";

const registered = new Map<string, RegisteredUser>();

/** Registration: failures of the business are results. */
export async function registerUser({ input }: RegisterUserArguments, call: Call): Promise<RegisterUserResult> {
  const { email, password, name } = input;
  if (password.length < 8) {
    const errors = [{ field: "password", message: "Password must be at least 8 characters", code: "INVALID_LENGTH" }];
    return { success: false, message: "Validation failed", errors };
  }
  if (registered.has(email)) {
    const errors = [{ field: "email", message: "Email is already in use" }];
    return { success: false, message: "Email already registered", errors };
  }
  if (name === "crash") throw new Error("the database is down");
  if (name === "refuse") throw new ActionError("Validation failed");
  const user = { id: "7b0e3c4e-0000-4000-8000-000000000001", email, name, email_verified: false };
  registered.set(email, user);
  const message = `User registered successfully by ${call.headers["x-hasura-user-id"]}. Please check your email.`;
  return { success: true, user, message };
}
