//! Feeds `quorate_fuzz_targets` its target `log_records`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| quorate_fuzz_targets::run("log_records", input));
