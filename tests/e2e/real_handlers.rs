//! What the handlers of `tests/engines/handlers` do that no table can hold.

use pillion_test_support::engines::{Engines, RealHandlers};
use pillion_test_support::pillion::Setup;
use pillion_test_support::trials;
use serde_json::json;

pub const TESTS: &[super::Test] = trials![a_file_of_five_megabytes];

fn a_file_of_five_megabytes(engines: &Engines) {
    use base64::Engine as _;
    const BYTES: usize = 5 * 1024 * 1024;
    let secret = ("ACTION_SECRET_ENV", "between-us");
    let handlers = RealHandlers::start(&[secret]);
    let setup = Setup::before(engines.postgraphile).with_actions("handlers", handlers.express);
    let setup = setup.env("PAYMENTS", "http://127.0.0.1:1").env("API_KEY", "k").env(secret.0, secret.1);
    let pillion = setup.start().wait_until_ready();
    let file: Vec<u8> = (0..BYTES).map(|index| u8::try_from(index % 251).expect("a byte")).collect();
    let data = base64::engine::general_purpose::STANDARD.encode(file);
    let document = "mutation Upload($input: FileUploadInput!) { uploadAndProcessFile(input: $input) { message } }";
    let input = json!({ "file_name": "a", "file_type": "b", "file_size": BYTES, "file_data": data });
    let body = json!({ "query": document, "variables": { "input": input } }).to_string();
    let answer = pillion.client().post(&body).json();
    assert_eq!(answer, json!({ "data": { "uploadAndProcessFile": { "message": format!("{BYTES} bytes") } } }));
}
