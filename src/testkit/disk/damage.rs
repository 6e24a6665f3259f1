//! Damage to the simulated disk behind the store's back: rot, writes that went astray or nowhere, files put in its place.
//!
//! Damage hits what the process sees and what is durable alike, and counts as no operation. What may be damaged, and
//! what has to become of it, the test decides.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::SimDisk;
use super::image::{Image, SECTOR_BYTES};
use crate::testkit::Rng;

impl SimDisk {
    /// Puts a file there, durably and in the place of what was there.
    pub fn write(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.lock();
        let file = state.names.get(path).unwrap_or_else(|| state.next_id());
        state.files.insert(file, Arc::new(Image::synced(bytes)));
        state.names.settle(path, Some(file));
        state.dirs.extend(path.ancestors().skip(1).map(Path::to_owned));
    }

    /// Flips one bit of a file, as rot does.
    pub fn flip_bit(&self, path: &Path, bit: u64) -> io::Result<()> {
        let mut state = self.lock();
        let image = state.image_at(path)?;
        if bit / 8 >= image.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let within = (bit / 8 % SECTOR_BYTES) as usize;
        image.change(bit / 8 / SECTOR_BYTES, |bytes| bytes[within] ^= 1 << (bit % 8));
        Ok(())
    }

    /// Fills a sector of a file with what the seed draws, as a disk does that has lost it and answers all the same. An
    /// `UnexpectedEof` when the file ends before.
    pub fn rot_sector(&self, path: &Path, sector: u64, seed: u64) -> io::Result<()> {
        let mut rng = Rng::new(seed);
        let rot: Vec<u8> = (0..SECTOR_BYTES / 8).flat_map(|_| rng.next_u64().to_le_bytes()).collect();
        self.put_sector(path, sector, &rot)
    }

    /// Lets a sector of a file hold what it held before it was last written: the disk said that it had written it, and
    /// had not. One that was written once holds zeros again. An `UnexpectedEof` when the file ends before.
    pub fn stale_sector(&self, path: &Path, sector: u64) -> io::Result<()> {
        let before = self.lock().image_at(path)?.sector_before(sector);
        self.put_sector(path, sector, &before[..])
    }

    /// Lets the last write to a sector have gone to another one, of the same or another file: that one holds the bytes,
    /// and the sector that they were meant for is [stale](Self::stale_sector). An `UnexpectedEof` when a file ends before.
    pub fn misdirect(&self, meant: (&Path, u64), hit: (&Path, u64)) -> io::Result<()> {
        let written = self.lock().image_at(meant.0)?.sector(meant.1);
        self.put_sector(hit.0, hit.1, &written[..])?;
        if meant == hit { Ok(()) } else { self.stale_sector(meant.0, meant.1) }
    }

    /// Cuts or lengthens a file; all that it then holds is durable.
    pub fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        let mut state = self.lock();
        let image = state.image_at(path)?;
        image.set_len(len);
        image.settle();
        Ok(())
    }

    /// Removes a file, durably.
    pub fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.image_at(path)?;
        state.names.settle(path, None);
        Ok(())
    }

    fn put_sector(&self, path: &Path, sector: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        let image = state.image_at(path)?;
        if !image.has(sector) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // A file that ends within the sector has no more bytes than before.
        let end = (image.len() - sector * SECTOR_BYTES).min(SECTOR_BYTES) as usize;
        image.change(sector, |held| held[..end].copy_from_slice(&bytes[..end]));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vfs::{Disk, OpenMode};

    const SECTOR: usize = SECTOR_BYTES as usize;

    fn path(name: &str) -> &Path {
        Path::new(name)
    }

    /// A disk with a file of three sectors, of which the second was written twice and the third is not whole.
    fn disk_with(name: &str) -> SimDisk {
        let disk = SimDisk::new(1);
        let file = disk.open(path(name), OpenMode::CreateNew).unwrap();
        file.write_all_at(&[1; SECTOR * 2 + 100], 0).unwrap();
        file.sync_data().unwrap();
        file.write_all_at(&[2; SECTOR], SECTOR_BYTES).unwrap();
        file.sync_data().unwrap();
        disk.sync_dir(path("")).unwrap();
        disk
    }

    /// What the process sees of a file, which must be what a power cut leaves of it.
    fn held(disk: &SimDisk, name: &str) -> Vec<u8> {
        let seen = disk.read(path(name)).unwrap();
        assert_eq!(disk.crash_keeping_nothing().read(path(name)).unwrap(), seen);
        seen
    }

    fn sectors(first: u8, second: u8, third: u8) -> Vec<u8> {
        [vec![first; SECTOR], vec![second; SECTOR], vec![third; 100]].concat()
    }

    #[test]
    fn a_rotten_sector_is_other_bytes_and_its_neighbours_are_the_same() {
        let disk = disk_with("a");
        disk.rot_sector(path("a"), 1, 7).unwrap();
        let rotten = held(&disk, "a");
        assert_ne!(rotten[SECTOR..2 * SECTOR], [2; SECTOR]);
        assert_eq!(rotten[..SECTOR], [1; SECTOR]);
        disk.rot_sector(path("a"), 2, 7).unwrap();
        assert_eq!(held(&disk, "a").len(), 2 * SECTOR + 100, "a rotten file is as long as before");

        let again = disk_with("a");
        again.rot_sector(path("a"), 1, 7).unwrap();
        assert_eq!(held(&again, "a"), rotten, "a seed rots alike");
    }

    #[test]
    fn a_stale_sector_holds_what_it_held_before_its_last_write() {
        let disk = disk_with("a");
        disk.stale_sector(path("a"), 1).unwrap();
        assert_eq!(held(&disk, "a"), sectors(1, 1, 1));
        disk.stale_sector(path("a"), 0).unwrap();
        assert_eq!(held(&disk, "a"), sectors(0, 1, 1), "the first write had zeros before it");
    }

    #[test]
    fn a_crash_that_keeps_a_write_remembers_what_stood_there_before() {
        let disk = disk_with("a");
        disk.open(path("a"), OpenMode::Write).unwrap().write_all_at(&[3; SECTOR], 0).unwrap();
        let mut kept = 0;
        for crashed in (0..20).map(|seed| disk.crash(seed)) {
            let was_kept = held(&crashed, "a")[0] == 3;
            kept += u32::from(was_kept);
            crashed.stale_sector(path("a"), 0).unwrap();
            assert_eq!(held(&crashed, "a")[0], if was_kept { 1 } else { 0 });
        }
        assert!(kept > 0);
    }

    #[test]
    fn a_misdirected_write_spoils_two_sectors() {
        let disk = disk_with("a");
        disk.misdirect((path("a"), 1), (path("a"), 0)).unwrap();
        assert_eq!(held(&disk, "a"), sectors(2, 1, 1));

        let disk = disk_with("a");
        disk.write(path("b"), &[9; 10]);
        disk.misdirect((path("a"), 1), (path("b"), 0)).unwrap();
        assert_eq!(held(&disk, "a"), sectors(1, 1, 1));
        assert_eq!(held(&disk, "b"), [2; 10]);
    }

    #[test]
    fn a_sector_beyond_the_end_is_refused() {
        let disk = disk_with("a");
        let beyond = [
            disk.rot_sector(path("a"), 3, 1),
            disk.stale_sector(path("a"), 3),
            disk.misdirect((path("a"), 0), (path("a"), u64::MAX)),
        ];
        for refused in beyond {
            assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        }
        assert_eq!(held(&disk, "a"), sectors(1, 2, 1));
    }
}
