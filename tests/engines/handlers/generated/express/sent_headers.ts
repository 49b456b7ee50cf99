import type { Call } from "../pillion/protocol.js";
import type { SentHeadersArguments, SentHeadersResult } from "../pillion/types.js";

/** What came of the configured headers. */
export async function sentHeaders(_input: SentHeadersArguments, call: Call): Promise<SentHeadersResult> {
  const { "x-api-key": key, "x-request-id": id, authorization, "content-type": type } = call.headers;
  return { key: String(key), has_id: /^[0-9a-f-]{36}$/.test(String(id)), authorization, type: type ?? "" };
}
