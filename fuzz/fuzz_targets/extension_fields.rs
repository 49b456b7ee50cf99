#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pillion_fuzz::extensions::extension_fields(bytes));
