//! What a release build is optimized for: requests of every usual kind, many of each. `packaging/profile.sh` has a build serve them that
//! counts which of its code runs.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use http::Request;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::client::Client;
use super::pillion::{Pillion, Setup};
use super::scripted::{Reply, Scripted};
use super::wait_until;
use super::websocket::{MODERN, ready_at, say, start};

#[path = "../../../benches/big_schema.rs"]
mod big_schema;

/// Connections that a kind of request comes on at one time.
const CONNECTIONS: usize = 16;

/// Requests of one that takes long: its loops are not to make all else look rare.
const FEW: usize = 5;

/// Is in the introspection query only.
const INTROSPECTION: &str = "inputFields";

/// Streams of HTTP/2 at one time.
const STREAMS: usize = 4;

const PASSES: &str = "{ items { id name } }";
const ACTION: &str = "query ($id: Int!) { quote(productId: $id) { productId total currency } }";
const MIXED: &str = "query Both { items { id name } quote(productId: 3) { total } }";
const ORDER: &str = "mutation ($order: OrderInput!) { placeOrder(order: $order) { id status quote { total } } }";
const ROWS: &str = "{ items { id name offer { total } } }";
const RESTOCK: &str = "mutation ($id: Int!) { restock(itemId: $id) }";
const RESTOCKED: &str = "query ($id: uuid!) { restock(id: $id) { id created_at output { pieces } } }";
const SEARCH: &str = "query ($filter: SearchInput) { search(filter: $filter) { id title score related { id } } }";

/// A field of the upstream's rows, with one call for all of them.
const FIELDS: &str = "fields: { Item.offer: 'offer(itemId: $id)' }\nactions: { offer: { batch: 500 } }\n";

/// What tokens are signed with.
const KEY: &str = "a key that is long enough for HS256";

/// Has the program serve them all, and end in order: that is when one that counts what it runs writes its counts, to where
/// `LLVM_PROFILE_FILE` says. `many` requests of each usual kind are sent.
pub fn train(many: usize) {
    let customer = || ("X-Hasura-Role", "customer".to_owned());
    let open = Work::with("shop", many, customer(), |setup| setup.env("PILLION_AUTH_OPEN", "true"));
    open.usual();
    open.large();
    open.over_http2();
    open.over_websockets();
    open.pillion.whole_log("TERM");
    let secret = json!({ "type": "HS256", "key": KEY }).to_string();
    let with_tokens = Work::with("shop", many / 4, ("Authorization", format!("Bearer {}", token())), |setup| {
        setup.env("HASURA_GRAPHQL_ADMIN_SECRET", "an admin's").env("HASURA_GRAPHQL_JWT_SECRET", &secret)
    });
    with_tokens.usual();
    with_tokens.pillion.whole_log("TERM");
    let more =
        Work::with("training", many / 8, customer(), |setup| setup.env("PILLION_AUTH_OPEN", "true").config(FIELDS));
    more.rows();
    more.jobs();
    more.pillion.whole_log("TERM");
}

/// Of a customer, for an hour.
fn token() -> String {
    let expires = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs() + 3600;
    let claims =
        json!({ "x-hasura-default-role": "customer", "x-hasura-allowed-roles": ["customer"], "x-hasura-user-id": "7" });
    let claims = json!({ "exp": expires, "https://hasura.io/jwt/claims": claims });
    jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(KEY.as_bytes())).expect("a token")
}

fn upstream() -> Scripted {
    let upstream = Scripted::start();
    let item = |id| json!({ "id": id, "name": format!("Item number {id}"), "_k0": "Item" });
    let items: Vec<_> = (0..20).map(item).collect();
    upstream.on_path(Scripted::OTHERWISE, Reply::json(&json!({ "data": { "items": items } }).to_string()));
    let names = json!({ "data": { "__typename": "Query", "__schema": { "queryType": { "name": "Query" } } } });
    upstream.on_word("{__typename", Reply::json(&names.to_string()));
    upstream.on_word(INTROSPECTION, Reply::json(&big_schema::introspection_result(400, "table")));
    upstream
}

fn handlers() -> Scripted {
    let handlers = Scripted::start();
    let quote = json!({ "productId": 3, "amount": 1, "total": 12.5, "currency": "CH" });
    handlers.on_path("/quote", Reply::json(&quote.to_string()));
    handlers.on_path("/placeOrder", Reply::json(&json!({ "id": "o1", "status": "new", "quote": quote }).to_string()));
    let hits: Vec<_> = (0..20).map(|id| json!({ "id": id, "title": "A hit", "score": 0.5, "related": [] })).collect();
    handlers.on_path("/search", Reply::json(&json!(hits).to_string()));
    let offers: Vec<_> = (0..20).map(|id| json!({ "total": id })).collect();
    handlers.on_path("/offers", Reply::json(&json!(offers).to_string()));
    handlers.on_path("/restock", Reply::json(&json!({ "pieces": 1 }).to_string()));
    handlers
}

struct Work {
    pillion: Pillion,
    upstream: Scripted,
    handlers: Scripted,
    many: usize,
    /// The header that says who the client is.
    identity: (&'static str, String),
}

impl Work {
    /// With these actions.
    fn with(
        actions: &str,
        many: usize,
        identity: (&'static str, String),
        configured: impl FnOnce(Setup) -> Setup,
    ) -> Self {
        let (upstream, handlers) = (upstream(), handlers());
        let mut setup = configured(Setup::before(upstream.port).with_actions(actions, handlers.port));
        if let Ok(counts) = std::env::var("LLVM_PROFILE_FILE") {
            setup = setup.env("LLVM_PROFILE_FILE", &counts);
        }
        Self { pillion: setup.start().wait_until_ready(), upstream, handlers, many, identity }
    }

    fn usual(&self) {
        let same = |document: &str, variables: serde_json::Value| {
            let body = json!({ "query": document, "variables": variables }).to_string();
            move |_: usize| body.clone()
        };
        self.post(self.many, same(PASSES, json!({})));
        self.post(self.many, same(ACTION, json!({ "id": 3 })));
        self.post(self.many, same(MIXED, json!({})));
        self.post(self.many / 4, same(SEARCH, json!({ "filter": { "text": "bicycle", "colour": "RED" } })));
        self.post(self.many / 4, same(ORDER, json!({ "order": { "productId": 3, "tags": ["a", "b"] } })));
        // None of these documents has been seen before.
        self.post(self.many / 2, |number| json!({ "query": format!("{MIXED} # {number}") }).to_string());
        let batch = json!([{ "query": PASSES }, { "query": MIXED }, { "query": MIXED }]).to_string();
        self.post(self.many / 8, |_| batch.clone());
        self.get(self.many / 4);
    }

    fn large(&self) {
        let text = "A text that is long. ".repeat(50_000);
        let order = json!({ "query": ORDER, "variables": { "order": { "productId": 3, "note": text } } }).to_string();
        self.post(FEW, |_| order.clone());
        let schema = "{ __schema { types { name description fields { name args { name } type { name kind } } } } }";
        let introspection = json!({ "query": schema }).to_string();
        for number in 0..FEW {
            // The upstream's schema is another one now, or has a table more.
            let (types, table) = (400 + 4 * (number % 2), format!("table_{}", number / 2));
            let response = Reply::json(&big_schema::introspection_result(types, &table));
            self.upstream.on_word(INTROSPECTION, response);
            self.post(self.many / 100, |_| introspection.clone());
        }
    }

    fn rows(&self) {
        let body = json!({ "query": ROWS }).to_string();
        // The upstream's types are known a moment after the start.
        wait_until("the offers", || self.ask(&mut self.pillion.client(), &body).contains("\"total\""));
        self.post(self.many, |_| body.clone());
    }

    /// Each is accepted, and then asked for.
    fn jobs(&self) {
        self.on_connections(self.many, |client, number| {
            let accepted = self.ask(client, &json!({ "query": RESTOCK, "variables": { "id": number } }).to_string());
            let accepted: Value = serde_json::from_str(&accepted).expect("JSON");
            let id = &accepted["data"]["restock"];
            let result = self.ask(client, &json!({ "query": RESTOCKED, "variables": { "id": id } }).to_string());
            assert!(id.is_string() && result.contains("\"created_at\":\""), "{accepted} {result}");
        });
    }

    /// POSTs so many bodies, which are made of their numbers.
    fn post(&self, requests: usize, body: impl Fn(usize) -> String + Sync) {
        self.on_connections(requests, |client, number| {
            let text = self.ask(client, &body(number));
            assert!(!text.contains("\"errors\""), "{text}");
        });
    }

    fn ask(&self, client: &mut Client, body: &str) -> String {
        let (name, identity) = &self.identity;
        let headers = [("Content-Type", "application/json"), (*name, identity.as_str()), ("User-Agent", "training")];
        let answer = client.request("POST", "/graphql", &headers, body.as_bytes());
        assert_eq!(answer.status(), 200);
        answer.text()
    }

    fn get(&self, requests: usize) {
        self.on_connections(requests, |client, _| {
            let (name, identity) = &self.identity;
            let answer = client.request("GET", "/other?query=none", &[("Accept", "*/*"), (*name, identity)], b"");
            assert_eq!(answer.status(), 200);
        });
    }

    fn on_connections(&self, requests: usize, send: impl Fn(&mut Client, usize) + Sync) {
        std::thread::scope(|scope| {
            for connection in 0..CONNECTIONS {
                let send = &send;
                scope.spawn(move || {
                    let mut client = self.pillion.client();
                    (connection..requests).step_by(CONNECTIONS).for_each(|number| send(&mut client, number));
                });
            }
        });
        // They remember all that they have seen.
        drop((self.upstream.take_seen(), self.handlers.take_seen()));
    }

    fn over_http2(&self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
        runtime.block_on(async {
            let stream = TcpStream::connect(("127.0.0.1", self.pillion.port)).await.expect("a connection");
            let (mut client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
            tokio::spawn(connection);
            for body in [PASSES, MIXED].map(|document| json!({ "query": document }).to_string()) {
                for _ in 0..self.many / STREAMS {
                    client = client.ready().await.expect("room");
                    let sent = [(); STREAMS].map(|()| send(&mut client, self.pillion.port, &body));
                    for response in sent {
                        let response = response.await.expect("a response");
                        assert_eq!(response.status(), 200);
                        let mut body = response.into_body();
                        while let Some(piece) = body.data().await {
                            let bytes = piece.expect("the body").len();
                            body.flow_control().release_capacity(bytes).expect("a window");
                        }
                    }
                }
            }
        });
    }

    fn over_websockets(&self) {
        let mut socket = ready_at(self.pillion.port, MODERN, &[], r#"{"headers":{"x-hasura-role":"customer"}}"#);
        for number in 0..self.many / 4 {
            say(&mut socket, &start(&number.to_string(), MIXED));
            while !socket.read().expect("a message").to_text().expect("text").contains("\"complete\"") {}
        }
    }
}

/// Begins a request on a stream of its own.
fn send(client: &mut SendRequest<Bytes>, port: u16, body: &str) -> ResponseFuture {
    let request = Request::post(format!("http://127.0.0.1:{port}/graphql"))
        .header("Content-Type", "application/json")
        .header("X-Hasura-Role", "customer");
    let (response, mut stream) = client.send_request(request.body(()).expect("a request"), false).expect("a stream");
    stream.send_data(body.to_owned().into(), true).expect("the body");
    response
}
