"""A collector of spans: OTLP over HTTP on PORT and over gRPC on GRPC_PORT. GET /spans gives what it has got as JSON."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as messages
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service

spans = []


def value(any_value):
    kind = any_value.WhichOneof("value")
    if kind == "array_value":
        return [value(item) for item in any_value.array_value.values]
    return getattr(any_value, kind) if kind else None


def attributes(pairs):
    return {pair.key: value(pair.value) for pair in pairs}


def take(request, way, headers):
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                spans.append({
                    "way": way,
                    "key": headers.get("x-key"),
                    "service": attributes(resource.resource.attributes).get("service.name"),
                    "trace": span.trace_id.hex(),
                    "id": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "kind": span.kind,
                    "name": span.name,
                    "nanoseconds": span.end_time_unix_nano - span.start_time_unix_nano,
                    "attributes": attributes(span.attributes),
                    "is_error": span.status.code == 2,
                })


class Http(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path != "/v1/traces":
            self.send_error(404)
            return
        take(messages.ExportTraceServiceRequest.FromString(body), "http", self.headers)
        self.answer("application/x-protobuf", b"")

    def do_GET(self):
        self.answer("application/json", json.dumps(spans).encode())

    def answer(self, content_type, body):
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Grpc(service.TraceServiceServicer):
    def Export(self, request, context):
        take(request, "grpc", dict(context.invocation_metadata()))
        return messages.ExportTraceServiceResponse()


server = grpc.server(ThreadPoolExecutor(2))
service.add_TraceServiceServicer_to_server(Grpc(), server)
server.add_insecure_port(f"127.0.0.1:{os.environ['GRPC_PORT']}")
server.start()
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Http).serve_forever()
