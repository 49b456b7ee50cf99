// An engine that speaks HTTP/2 in clear text and ends connections and streams as servers may: every third request is
// refused when it comes for the first time, and every fifth answer is the last but those under way (GOAWAY).
import http2 from "node:http2";

const seen = new Set();
let answers = 0;
const server = http2.createServer((request, response) => {
  const id = request.headers["x-request-id"];
  if (id && !seen.has(id)) {
    seen.add(id);
    if (seen.size % 3 === 0) return request.stream.close(http2.constants.NGHTTP2_REFUSED_STREAM);
  }
  request.resume();
  request.on("end", () => {
    response.setHeader("content-type", "application/json");
    response.end('{"data":{"productById":{"name":"City bicycle"},"__typename":"Query"}}');
    if (++answers % 5 === 0) request.stream.session?.close();
  });
});
server.listen(Number(process.env.PORT), "127.0.0.1");
