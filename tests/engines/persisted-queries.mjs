// Apollo Client with its link for automatic persisted queries: reads {url, queries, byGet} and writes, for each query, what came of it and
// the requests that it took.
import { ApolloClient, HttpLink, InMemoryCache, gql } from "@apollo/client/core";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";
import { createHash } from "node:crypto";
import { text } from "node:stream/consumers";

const { url, queries, byGet } = JSON.parse(await text(process.stdin));
let requests = [];
const counting = async (target, options) => {
  const form = options.method === "GET" ? new URL(target).search : options.body;
  requests.push(`${options.method} ${form.includes("query") && /"query":|[?&]query=/.test(form) ? "text" : "hash"}`);
  return fetch(target, options);
};
const sha256 = (document) => createHash("sha256").update(document).digest("hex");
const persisted = new PersistedQueryLink({ sha256, useGETForHashedQueries: byGet });
const link = persisted.concat(new HttpLink({ uri: url, fetch: counting }));
const client = new ApolloClient({ link, cache: new InMemoryCache(), defaultOptions: { query: { fetchPolicy: "no-cache" } } });

const results = [];
for (const query of queries) {
  requests = [];
  const { data, error } = await client.query({ query: gql(query), errorPolicy: "all" });
  results.push({ data: data ?? null, error: error?.message ?? null, requests });
}
console.log(JSON.stringify(results));
