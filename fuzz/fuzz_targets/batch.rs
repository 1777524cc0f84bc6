//! Feeds `quorate_fuzz_targets` its target `batch`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| quorate_fuzz_targets::run("batch", input));
