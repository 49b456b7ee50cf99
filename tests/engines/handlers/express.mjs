// Handlers as users write them with Express, started for the tests behind Pillion. They know nothing of it.
import express from "express";

const app = express();
app.use(express.json({ limit: "20mb" }));

// The API of an identity provider, which a handler below asks.
app.get("/api/v2/users/:id", (req, res) => {
  if (req.headers.authorization !== "Bearer " + process.env.AUTH0_MANAGEMENT_API_TOKEN) return res.json(null);
  res.json({ user_id: req.params.id, email: `${req.params.id}@example.com`, picture: "https://example.com/p.png" });
});

// Everything below is called with the secret that is configured as the action's header.
app.use(authorizationMiddleware);
function authorizationMiddleware(req, res, next) {
  if (correctSecretProvided(req)) next();
  else res.sendStatus(403);
}
function correctSecretProvided(req) {
  // Node has the names of headers in lower case.
  return process.env.ACTION_SECRET_ENV === req.headers["action_secret"];
}

// A profile from elsewhere, by the session's user.
const getProfileInfo = (user_id) =>
  fetch(`http://127.0.0.1:${process.env.PORT}/api/v2/users/${user_id}`, {
    headers: { Authorization: "Bearer " + process.env.AUTH0_MANAGEMENT_API_TOKEN },
  }).then((response) => response.json());
app.post("/auth0", async (req, res) => {
  const { session_variables } = req.body;
  const user_id = session_variables["x-hasura-user-id"];
  const resp = await getProfileInfo(user_id);
  if (!resp || !user_id) return res.status(400).json({ message: "error happened" });
  return res.json({ id: resp.user_id, email: resp.email, picture: resp.picture });
});

// A login: success, and an error in the documented form.
app.post("/UserLogin", (req, res) => {
  const { username, password } = req.body.input;
  if (req.body.action.name !== "UserLogin") return res.status(500).json({});
  if (password !== "secretpassword") return res.status(400).json({ message: "invalid credentials" });
  return res.json({ accessToken: `token of ${username}`, userId: 423 });
});

// Registration: failures of the business are answers.
const registered = new Map();
app.post("/actions/register-user", (req, res) => {
  const { email, password, name } = req.body.input.input;
  if (password.length < 8) {
    const errors = [{ field: "password", message: "Password must be at least 8 characters", code: "INVALID_LENGTH" }];
    return res.json({ success: false, message: "Validation failed", errors });
  }
  if (registered.has(email)) {
    const errors = [{ field: "email", message: "Email is already in use" }];
    return res.json({ success: false, message: "Email already registered", errors });
  }
  if (name === "crash") return res.status(500).json({ success: false, message: "Internal server error" });
  if (name === "refuse") {
    const errors = [{ field: "email", message: "Email is required", code: "REQUIRED_FIELD" }];
    return res.status(400).json({ success: false, message: "Validation failed", errors, error_code: "VALIDATION_ERROR" });
  }
  const user = { id: "7b0e3c4e-0000-4000-8000-000000000001", email, name, email_verified: false };
  registered.set(email, user);
  const by = req.headers["x-hasura-user-id"] ?? "nobody";
  return res.json({ success: true, user, message: `User registered successfully by ${by}. Please check your email.` });
});

// Many at once, with a default in the input.
app.post("/actions/bulk-create-users", (req, res) => {
  const { users, send_invitations } = req.body.input.input;
  const results = users.map(({ email, name }) =>
    email.includes("@")
      ? { email, success: true, user: { id: "7b0e3c4e-0000-4000-8000-000000000002", email, name, email_verified: send_invitations } }
      : { email, success: false, user: null, error: "not an address" },
  );
  const created_count = results.filter((result) => result.success).length;
  return res.json({ success: true, created_count, failed_count: results.length - created_count, results });
});

// A file as base64 in an argument.
app.post("/actions/upload-and-process-file", (req, res) => {
  const { file_name, file_size, file_data, processing_options } = req.body.input.input;
  const bytes = Buffer.from(file_data, "base64");
  if (bytes.length !== file_size) return res.json({ success: false, message: `${bytes.length} bytes, not ${file_size}` });
  return res.json({
    success: true,
    file_id: "7b0e3c4e-0000-4000-8000-000000000003",
    file_url: `https://files.example.com/${file_name}`,
    processing_job_id: processing_options?.resize ? "7b0e3c4e-0000-4000-8000-000000000004" : null,
    message: `${bytes.length} bytes`,
  });
});

// Another service in the background, by the session's user in a header.
app.post("/actions/sync-with-crm", (req, res) => {
  const user = req.headers["x-hasura-user-id"];
  const all = JSON.parse(req.headers["x-hasura-session-variables"] ?? "{}");
  if (user !== all["x-hasura-user-id"]) return res.json({ success: false, message: "CRM sync failed", error: "no user" });
  const contacts = req.body.input.contacts;
  return res.json({ success: true, synced_count: contacts.length, failed_count: 0, message: `CRM sync of ${user} completed` });
});

// What came of the configured headers.
app.post("/actions/headers", (req, res) => {
  const { "x-api-key": key, "x-request-id": id, authorization, "content-type": type } = req.headers;
  return res.json({ key, has_id: /^[0-9a-f-]{36}$/.test(id ?? ""), authorization, type });
});

app.listen(process.env.PORT, "127.0.0.1");
