//! The loop that nothing durable can beat: bytes are written behind the last ones, and synced; into space that is only reserved,
//! or that zeros were written to before.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use annals::{Disk as _, DiskFile, OpenMode, RealDisk};

use crate::cli::failure::Failure;

/// As long as a segment, so that it is reserved alike.
const FILE_BYTES: u64 = 64 << 20;

/// What a file is made of before it is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Space {
    Reserved,
    Zeros,
}

/// A file that is only written to.
pub(super) struct Raw {
    file: Arc<dyn DiskFile>,
    bytes: Vec<u8>,
    at: u64,
}

impl Raw {
    /// For writes of so many bytes into space of this kind.
    pub(super) fn create(path: &Path, bytes: u64, space: Space) -> Result<Raw, Failure> {
        let create = || {
            let file = RealDisk.open(path, OpenMode::CreateNew)?;
            file.allocate(FILE_BYTES)?;
            if space == Space::Zeros {
                file.write_all_at(&vec![0; FILE_BYTES as usize], 0)?;
            }
            file.sync_data()?;
            Ok(file)
        };
        let file = create().map_err(|error| failed(&error))?;
        Ok(Raw { file, bytes: vec![0x5a; bytes as usize], at: 0 })
    }

    /// Writes and syncs so many times, and adds how long each took.
    pub(super) fn write(&mut self, count: u64, times: &mut Vec<Duration>) -> Result<(), Failure> {
        for _ in 0..count {
            let len = self.bytes.len() as u64;
            if self.at + len > FILE_BYTES {
                self.at = 0;
            }
            let start = Instant::now();
            let written = self.file.write_all_at(&self.bytes, self.at).and_then(|()| self.file.sync_data());
            written.map_err(|error| failed(&error))?;
            times.push(start.elapsed());
            self.at += len;
        }
        Ok(())
    }
}

fn failed(error: &std::io::Error) -> Failure {
    Failure::Unusable(format!("the disk cannot be measured: {error}"))
}
