//! The small files: STATE and LOCK.

use super::Finding;
use crate::format::state::{SLOT_LEN, SLOT_STRIDE, State};
use crate::vfs::DiskFile;

/// Both slots.
pub(super) fn state(file: &dyn DiskFile) -> Vec<Finding> {
    [0, SLOT_STRIDE].into_iter().map(|offset| slot(file, offset)).collect()
}

fn slot(file: &dyn DiskFile, offset: u64) -> Finding {
    let finding = Finding::new(offset, "slot");
    let mut bytes = [0; SLOT_LEN];
    if let Err(error) = file.read_exact_at(&mut bytes, offset) {
        return finding.wrong(Some(format!("it cannot be read: {error}")));
    }
    match State::decode(&bytes) {
        Some(state) => finding
            .with("store", uuid::Uuid::from_bytes(state.store.0))
            .with("history", state.history)
            .with("sequence", state.sequence)
            .with("segment", state.segment)
            .with("durable", state.durable),
        None if bytes.iter().all(|byte| *byte == 0) => finding.with("written", "never"),
        None => finding.wrong(Some("magic, version or checksum is wrong: the slot does not count")),
    }
}

/// The text, which is for people.
pub(super) fn lock(file: &dyn DiskFile) -> Vec<Finding> {
    let mut bytes = vec![0; file.len().unwrap_or_default().min(64) as usize];
    let finding = Finding::new(0, "the last process that wrote");
    match file.read_exact_at(&mut bytes, 0) {
        Ok(()) => {
            let text = String::from_utf8_lossy(&bytes);
            vec![finding.with("text", text.trim().escape_debug())]
        }
        Err(error) => vec![finding.wrong(Some(error))],
    }
}
