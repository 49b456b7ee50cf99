#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pillion_fuzz::upstream_results::upstream_result(bytes));
