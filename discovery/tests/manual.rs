//! The table of flags in the manual is the one that the program has.

use std::path::Path;

use quorate_discovery::settings::flag_rows;

const BEGIN: &str = "<!-- flags:";
const END: &str = "<!-- end of flags -->";

#[test]
fn the_manual_has_every_flag() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/discovery.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let begin = text.find(BEGIN).and_then(|at| Some(at + text[at..].find('\n')? + 1)).unwrap();
    let end = text.find(END).unwrap();
    let table = format!("\n| flag | default | meaning |\n|---|---|---|\n{}\n", flag_rows());
    if std::env::var_os("QUORATE_RECORD").is_some() {
        let page = format!("{}{table}{}", &text[..begin], &text[end..]);
        std::fs::write(&path, page).unwrap();
    } else {
        assert_eq!(&text[begin..end], table);
    }
}
