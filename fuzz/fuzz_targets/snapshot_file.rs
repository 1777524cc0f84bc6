//! Feeds `quorate_fuzz_targets` its target `snapshot_file`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| quorate_fuzz_targets::run("snapshot_file", input));
