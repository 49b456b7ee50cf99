import type { UploadAndProcessFileArguments, UploadAndProcessFileResult } from "../pillion/types.js";

/** A file as base64 in an argument. */
export async function uploadAndProcessFile({ input }: UploadAndProcessFileArguments): Promise<UploadAndProcessFileResult> {
  const bytes = Buffer.from(input.file_data, "base64");
  if (bytes.length !== input.file_size) return { success: false, message: `${bytes.length} bytes, not ${input.file_size}` };
  return {
    success: true,
    file_id: "7b0e3c4e-0000-4000-8000-000000000003",
    file_url: `https://files.example.com/${input.file_name}`,
    processing_job_id: input.processing_options?.resize ? "7b0e3c4e-0000-4000-8000-000000000004" : null,
    message: `${bytes.length} bytes`,
  };
}
