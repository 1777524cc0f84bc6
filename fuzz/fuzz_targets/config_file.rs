//! Feeds `quorate_fuzz_targets` its target `config_file`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| quorate_fuzz_targets::run("config_file", input));
