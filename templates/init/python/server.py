"""The handler of the actions in metadata/. Start it: python3 handler/server.py"""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOST = os.environ.get("HOST", "127.0.0.1")
PORT = int(os.environ.get("PORT", "@HANDLER_PORT@"))


class ActionError(Exception):
    """An error that the client sees, with its code in `extensions`."""

    def __init__(self, message, code):
        super().__init__(message)
        self.code = code


def @FUNCTION@(arguments, session):
    if not arguments["name"].strip():
        raise ActionError("a name is needed", "empty-name")
    return {"text": f"Hello {arguments['name']}!", "role": session.get("x-hasura-role")}


# What each action does with its arguments and the caller's session variables.
ACTIONS = {"@ACTION@": @FUNCTION@}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        try:
            payload = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))
            name = payload["action"]["name"]
            if name not in ACTIONS:
                self.respond(404, {"message": f"there is no action {name}"})
                return
            self.respond(200, ACTIONS[name](payload["input"], payload["session_variables"]))
        except ActionError as error:
            self.respond(400, {"message": str(error), "code": error.code})
        except Exception as error:  # The client is told nothing of it.
            print(self.headers.get("x-request-id"), repr(error), file=sys.stderr)
            self.respond(500, {"message": "internal error"})

    def respond(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    print(f"the handler listens on http://{HOST}:{PORT}", flush=True)
    ThreadingHTTPServer((HOST, PORT), Handler).serve_forever()
