//! What holds for every document, on the real upstream: it accepts each part that we make, and the response is the one
//! that the specification prescribes. And a document without actions comes out as the upstream itself answers it.

use std::cell::RefCell;

use pillion_test_support::client::Client;
use pillion_test_support::engines::Engines;
use pillion_test_support::pillion::Setup;
use pillion_test_support::scripted::{Reply, Scripted};
use serde_json::{Value, json};

use pillion_test_support::random_documents::for_each;
use pillion_test_support::trials;

pub const TESTS: &[super::Test] = trials![mixed_documents, documents_without_actions];

const CASES: u32 = 150;

fn value_of(key: &str) -> Value {
    match key {
        "p1" => json!({ "name": "City bicycle" }),
        "productById" => json!({ "name": "Helmet", "__typename": "Product" }),
        "pv" => json!({ "name": "Lock" }),
        "count" => json!(1),
        "q" => json!({ "total": 2.5 }),
        "m" => json!({ "total": 2.5, "amount": 2 }),
        _ => json!("Query"),
    }
}

fn mixed_documents(engines: &Engines) {
    let handlers = Scripted::start();
    let quote = Reply::json(r#"{"total":2.5,"amount":2,"productId":5}"#);
    handlers.on_path("/count", Reply::json("1"));
    handlers.on_path("/quote", quote.clone());
    handlers.on_path("/maybe", quote);
    let pillion = Setup::before(engines.postgraphile).with_shop(handlers.port).start().wait_until_ready();
    let client = RefCell::new(pillion.client());
    let result = for_each(CASES, true, |sample| {
        let text = sample.text("Query");
        let body = json!({ "query": text, "variables": sample.variables() }).to_string();
        let got = client.borrow_mut().post(&body).text();
        let wanted = json!({ "data": sample.data(value_of) }).to_string();
        if got == wanted { Ok(()) } else { Err(format!("{text}\nwanted {wanted}\ngot    {got}")) }
    });
    assert_eq!(result, Ok(()));
}

fn documents_without_actions(engines: &Engines) {
    let handlers = Scripted::start();
    let pillion = Setup::before(engines.postgraphile).with_shop(handlers.port).start().wait_until_ready();
    let client = RefCell::new((pillion.client(), Client::connect(engines.postgraphile)));
    let result = for_each(CASES, false, |sample| {
        let body = json!({ "query": sample.text("Query"), "variables": sample.variables() }).to_string();
        let (through, direct) = &mut *client.borrow_mut();
        let (through, direct) = (through.post(&body), direct.post(&body));
        let same = through.status() == direct.status() && through.body == direct.body;
        if same { Ok(()) } else { Err(format!("{body}\n{}\n{}", through.text(), direct.text())) }
    });
    assert_eq!(result, Ok(()));
    assert!(handlers.take_seen().is_empty());
}
