//! Feeds `quorate_fuzz_targets` its target `data_dir`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| quorate_fuzz_targets::run("data_dir", input));
