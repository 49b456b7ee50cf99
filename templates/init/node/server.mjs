// The handler of the actions in metadata/. Start it: node handler/server.mjs
import { createServer } from "node:http";

const host = process.env.HOST ?? "127.0.0.1";
const port = Number(process.env.PORT ?? @HANDLER_PORT@);

/** An error that the client sees, with its code in `extensions`. */
class ActionError extends Error {
  constructor(message, code) {
    super(message);
    this.code = code;
  }
}

/** What each action does with its arguments and the caller's session variables. */
const actions = {
  @ACTION@({ name }, session) {
    if (name.trim() === "") throw new ActionError("a name is needed", "empty-name");
    return { text: `Hello ${name}!`, role: session["x-hasura-role"] };
  },
};

async function bodyOf(request) {
  let body = "";
  for await (const chunk of request) body += chunk;
  return JSON.parse(body);
}

const server = createServer(async (request, response) => {
  const respond = (status, value) => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(value));
  };
  try {
    if (request.method !== "POST") return respond(405, { message: "send a POST" });
    const { action, input, session_variables: session } = await bodyOf(request);
    if (!Object.hasOwn(actions, action.name)) return respond(404, { message: `there is no action ${action.name}` });
    respond(200, await actions[action.name](input, session));
  } catch (error) {
    if (error instanceof ActionError) return respond(400, { message: error.message, code: error.code });
    console.error(request.headers["x-request-id"], error);
    respond(500, { message: "internal error" });
  }
});

server.listen(port, host, () => console.log(`the handler listens on http://${host}:${port}`));
