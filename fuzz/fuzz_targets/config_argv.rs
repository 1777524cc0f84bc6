//! Feeds `quorate_fuzz_targets` its target `config_argv`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| quorate_fuzz_targets::run("config_argv", input));
