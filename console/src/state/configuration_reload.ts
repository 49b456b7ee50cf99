// Reloads the configuration for a screen, and keeps why it was rejected.
import { useState } from "preact/hooks";
import { post } from "../api/client";
import { toast } from "./toasts";

/** `done` runs afterwards, however it ended. */
export function useConfigurationReload(done: () => Promise<unknown>): { reload: () => Promise<void>; problem?: Error } {
  const [problem, setProblem] = useState<Error>();
  const reload = async () => {
    setProblem(undefined);
    try {
      await post("reload", {});
      toast("The configuration was reloaded.");
    } catch (error) {
      setProblem(error as Error);
    }
    await done();
  };
  return { reload, problem };
}
