//! temp
/// temp
#[derive(Debug)]
pub struct StoredSnapshot;
