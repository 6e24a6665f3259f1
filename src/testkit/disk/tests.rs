//! What the simulated disk keeps, loses and refuses.

use super::*;

const FILE: &str = "dir/file";

fn path(text: &str) -> &Path {
    Path::new(text)
}

/// A disk with one file whose name is durable and whose bytes are `bytes`, synced.
fn disk_with(bytes: &[u8]) -> (SimDisk, Arc<dyn DiskFile>) {
    let disk = SimDisk::new(1);
    disk.create_dirs(path("dir")).unwrap();
    let file = disk.open(path(FILE), OpenMode::CreateNew).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(path("dir")).unwrap();
    (disk, file)
}

/// What a file holds after each of many crashes.
fn outcomes(disk: &SimDisk) -> BTreeSet<Vec<u8>> {
    (0..200).filter_map(|seed| disk.crash(seed).read(path(FILE)).ok()).collect()
}

fn kind_of<T>(result: io::Result<T>) -> io::ErrorKind {
    result.map(|_| ()).unwrap_err().kind()
}

#[test]
fn synced_bytes_survive_every_crash() {
    let (disk, _file) = disk_with(&[7; 3000]);
    assert_eq!(outcomes(&disk), BTreeSet::from([vec![7; 3000]]));
    assert_eq!(disk.crash_keeping_nothing().read(path(FILE)).unwrap(), [7; 3000]);
}

#[test]
fn each_unsynced_sector_survives_or_not_on_its_own_and_never_by_half() {
    let (disk, file) = disk_with(&[1; 1536]);
    file.write_all_at(&[2; 1536], 0).unwrap();

    let found = outcomes(&disk);
    assert_eq!(found.len(), 8, "three sectors, each old or new");
    for bytes in found {
        for sector in bytes.chunks(512) {
            assert!(sector == [1; 512] || sector == [2; 512]);
        }
    }
}

#[test]
fn any_unsynced_version_of_a_sector_may_be_the_one_that_survives() {
    let (disk, file) = disk_with(b"a");
    for version in [b"b", b"c", b"d"] {
        file.write_all_at(version, 0).unwrap();
    }
    let wanted = [b"a", b"b", b"c", b"d"].map(|bytes| bytes.to_vec());
    assert_eq!(outcomes(&disk), BTreeSet::from(wanted));
    assert_eq!(disk.crash_keeping_nothing().read(path(FILE)).unwrap(), b"a");
}

#[test]
fn unsynced_growth_is_lost_or_kept_with_zeros_or_with_its_bytes() {
    let (disk, file) = disk_with(&[1; 512]);
    file.write_all_at(&[2; 100], 512).unwrap();

    let grown = |byte: u8| [vec![1; 512], vec![byte; 100]].concat();
    assert_eq!(outcomes(&disk), BTreeSet::from([vec![1; 512], grown(0), grown(2)]));
}

#[test]
fn a_synced_cut_reads_as_zero_when_the_file_grows_again() {
    let (disk, file) = disk_with(&[1; 1500]);
    file.set_len(10).unwrap();
    file.allocate(1500).unwrap();
    file.sync_data().unwrap();

    let wanted = [vec![1; 10], vec![0; 1490]].concat();
    assert_eq!(disk.read(path(FILE)).unwrap(), wanted);
    assert_eq!(outcomes(&disk), BTreeSet::from([wanted]));
}

#[test]
fn a_file_whose_name_was_not_synced_can_vanish_with_its_synced_bytes() {
    let (disk, _file) = disk_with(b"");
    let other = disk.open(path("dir/other"), OpenMode::Create).unwrap();
    other.write_all_at(b"synced", 0).unwrap();
    other.sync_data().unwrap();

    assert!(!disk.crash_keeping_nothing().exists(path("dir/other")).unwrap());
    let found: BTreeSet<_> = (0..50).map(|seed| disk.crash(seed).read(path("dir/other")).ok()).collect();
    assert_eq!(found, BTreeSet::from([None, Some(b"synced".to_vec())]));

    disk.sync_dir(path("dir")).unwrap();
    assert_eq!(disk.crash_keeping_nothing().read(path("dir/other")).unwrap(), b"synced");
}

#[test]
fn a_rename_happened_or_did_not_and_never_takes_both_files() {
    let (disk, _file) = disk_with(b"old");
    let new = disk.open(path("dir/new"), OpenMode::Create).unwrap();
    new.write_all_at(b"new", 0).unwrap();
    new.sync_data().unwrap();
    disk.sync_dir(path("dir")).unwrap();
    disk.rename(path("dir/new"), path(FILE)).unwrap();

    let before = vec![path(FILE).to_owned(), path("dir/new").to_owned()];
    for seed in 0..50 {
        let crashed = disk.crash(seed);
        let found = (crashed.read(path(FILE)).unwrap(), crashed.paths());
        assert!(
            found == (b"old".to_vec(), before.clone())
                || found == (b"new".to_vec(), vec![path(FILE).to_owned()])
        );
    }
    assert_eq!(outcomes(&disk).len(), 2);
    disk.sync_dir(path("dir")).unwrap();
    assert_eq!(outcomes(&disk), BTreeSet::from([b"new".to_vec()]));
}

#[test]
fn a_rename_across_directories_needs_both_synced() {
    let (disk, _file) = disk_with(b"moved");
    disk.create_dirs(path("other")).unwrap();
    disk.rename(path(FILE), path("other/file")).unwrap();
    disk.sync_dir(path("other")).unwrap();
    assert!(disk.crash_keeping_nothing().exists(path(FILE)).unwrap());

    disk.sync_dir(path("dir")).unwrap();
    assert_eq!(disk.crash_keeping_nothing().paths(), [path("other/file")]);
}

#[test]
fn a_removed_file_can_come_back_until_its_directory_is_synced() {
    let (disk, file) = disk_with(b"gone");
    disk.remove(path(FILE)).unwrap();
    assert_eq!(kind_of(disk.read(path(FILE))), io::ErrorKind::NotFound);
    assert_eq!(disk.crash_keeping_nothing().read(path(FILE)).unwrap(), b"gone");
    assert_eq!(file.len().unwrap(), 4, "an open handle stays good");

    disk.sync_dir(path("dir")).unwrap();
    assert!(disk.crash_keeping_nothing().paths().is_empty());
}

#[test]
fn a_sync_that_lies_loses_what_was_written_even_if_a_later_sync_succeeds() {
    let (disk, file) = disk_with(b"old");
    file.write_all_at(b"new, longer", 0).unwrap();
    disk.fail_operation(1, Fault::SyncLies);
    assert!(file.sync_data().is_err());
    file.sync_data().unwrap();

    assert_eq!(disk.read(path(FILE)).unwrap(), b"new, longer", "readers go on seeing it");
    assert_eq!(outcomes(&disk), BTreeSet::from([b"old".to_vec()]));

    file.write_all_at(b"new, longer", 0).unwrap();
    file.sync_data().unwrap();
    assert_eq!(outcomes(&disk), BTreeSet::from([b"new, longer".to_vec()]));
}

#[test]
fn a_killed_process_leaves_all_it_wrote_and_none_of_it_synced() {
    let (disk, file) = disk_with(b"old");
    file.write_all_at(b"lie", 0).unwrap();
    disk.fail_operation(1, Fault::SyncLies);
    file.sync_data().unwrap_err();

    let killed = disk.crash_keeping_all();
    assert_eq!(killed.read(path(FILE)).unwrap(), b"lie");
    killed.open(path(FILE), OpenMode::Read).unwrap().sync_data().unwrap();
    assert_eq!(killed.crash_keeping_nothing().read(path(FILE)).unwrap(), b"old");
}

#[test]
fn a_directory_sync_that_lies_loses_the_name() {
    let (disk, _file) = disk_with(b"");
    disk.open(path("dir/other"), OpenMode::Create).unwrap();
    disk.fail_operation(1, Fault::SyncLies);
    assert!(disk.sync_dir(path("dir")).is_err());
    disk.sync_dir(path("dir")).unwrap();

    assert!(disk.exists(path("dir/other")).unwrap());
    assert!((0..50).all(|seed| !disk.crash(seed).exists(path("dir/other")).unwrap()));
}

#[test]
fn a_failed_sync_that_does_not_lie_can_be_repeated() {
    let (disk, file) = disk_with(b"old");
    file.write_all_at(b"new", 0).unwrap();
    disk.fail_operation(1, Fault::Error(io::ErrorKind::Interrupted));
    assert_eq!(kind_of(file.sync_data()), io::ErrorKind::Interrupted);
    file.sync_data().unwrap();
    assert_eq!(disk.crash_keeping_nothing().read(path(FILE)).unwrap(), b"new");
}

#[test]
fn a_short_write_leaves_whole_sectors_from_its_beginning() {
    let mut lengths = BTreeSet::new();
    for seed in 0..50 {
        let disk = SimDisk::new(seed);
        let file = disk.open(path("file"), OpenMode::Create).unwrap();
        disk.fail_operation(1, Fault::ShortWrite);
        assert!(file.write_all_at(&[9; 1000], 100).is_err());
        lengths.insert(file.len().unwrap());
    }
    assert_eq!(lengths, BTreeSet::from([0, 512, 1024]));
}

#[test]
fn the_operation_that_is_set_to_fail_fails_and_no_other() {
    let (disk, file) = disk_with(b"");
    let before = disk.operations();
    disk.fail_operation(2, Fault::NoSpace);
    file.write_all_at(b"1", 0).unwrap();
    assert_eq!(kind_of(file.write_all_at(b"2", 0)), io::ErrorKind::StorageFull);
    file.write_all_at(b"3", 1).unwrap();

    assert_eq!(disk.read(path(FILE)).unwrap(), b"13");
    assert_eq!(disk.operations() - before, 3);
}

#[test]
fn every_changing_operation_counts_and_can_fail() {
    let run = |disk: &SimDisk| -> io::Result<()> {
        disk.create_dirs(path("dir"))?;
        let file = disk.open(path("dir/a"), OpenMode::CreateNew)?;
        file.allocate(1024)?;
        file.write_all_at(b"x", 0)?;
        file.set_len(1)?;
        file.sync_data()?;
        disk.rename(path("dir/a"), path("dir/b"))?;
        disk.remove(path("dir/b"))?;
        disk.sync_dir(path("dir"))
    };
    let disk = SimDisk::new(1);
    run(&disk).unwrap();
    assert_eq!(disk.operations(), 9);
    for n in 1..=9 {
        let disk = SimDisk::new(1);
        disk.fail_operation(n, Fault::Error(io::ErrorKind::Other));
        assert!(run(&disk).is_err(), "operation {n}");
        assert_eq!(disk.operations(), n);
    }
}

#[test]
fn a_read_that_is_set_to_fail_fails_and_changes_nothing() {
    let (disk, file) = disk_with(&[5; 1000]);
    let before = (disk.reads(), disk.operations());
    disk.fail_read(1, Fault::Error(io::ErrorKind::Other));
    disk.fail_read(3, Fault::Error(io::ErrorKind::Other));
    let mut buffer = [0; 1000];
    assert_eq!(kind_of(file.read_exact_at(&mut buffer, 0)), io::ErrorKind::Other);
    file.read_exact_at(&mut buffer, 0).unwrap();
    assert_eq!(buffer, [5; 1000]);
    assert_eq!(kind_of(disk.list(path("dir"))), io::ErrorKind::Other);
    assert_eq!((disk.reads() - before.0, disk.operations() - before.1), (3, 0));
    assert_eq!(disk.failures(), 2);
}

#[test]
fn every_call_that_only_looks_counts_and_can_fail() {
    let look = |disk: &SimDisk| -> io::Result<()> {
        disk.list(path("dir"))?;
        disk.exists(path(FILE))?;
        let file = disk.open(path(FILE), OpenMode::Read)?;
        file.len()?;
        file.read_exact_at(&mut [0; 4], 0)?;
        file.map(10)?.slice(0, 4).map(drop)
    };
    let (disk, _file) = disk_with(b"0123456789");
    look(&disk).unwrap();
    assert_eq!(disk.reads(), 7);
    for n in 1..=7 {
        let (disk, _file) = disk_with(b"0123456789");
        disk.fail_read(n, Fault::ShortRead);
        assert!(look(&disk).is_err(), "read {n}");
        assert_eq!(disk.reads(), n);
    }
    let (disk, _file) = disk_with(b"0123456789");
    disk.fail_read(1, Fault::ShortRead);
    disk.fail_no_more();
    look(&disk).unwrap();
}

#[test]
fn a_short_read_stops_where_a_sector_ends_and_says_so() {
    let mut lengths = BTreeSet::new();
    for seed in 0..50 {
        let disk = SimDisk::new(seed);
        let file = disk.open(path("file"), OpenMode::Create).unwrap();
        file.write_all_at(&[7; 1500], 0).unwrap();
        disk.fail_read(1, Fault::ShortRead);
        let mut buffer = [0; 1200];
        assert_eq!(kind_of(file.read_exact_at(&mut buffer, 100)), io::ErrorKind::UnexpectedEof);
        lengths.insert(buffer.iter().filter(|byte| **byte == 7).count());
    }
    assert_eq!(lengths, BTreeSet::from([0, 412, 924]));
}

#[test]
fn nothing_reaches_the_disk_once_the_power_is_out() {
    let (disk, file) = disk_with(b"old");
    disk.cut_power_after(1);
    file.write_all_at(b"new", 0).unwrap();
    assert!(!disk.is_without_power());
    assert!(file.sync_data().is_err());
    assert!(disk.is_without_power());
    assert!(file.write_all_at(b"later", 0).is_err());
    assert_eq!(outcomes(&disk), BTreeSet::from([b"old".to_vec(), b"new".to_vec()]));
    assert!(disk.crash(1).open(path("dir/other"), OpenMode::Create).is_ok(), "the power is back");
}

#[test]
fn a_full_disk_refuses_growth_and_takes_overwriting() {
    let (disk, file) = disk_with(&[1; 600]);
    disk.set_capacity(1000);
    assert_eq!(kind_of(file.allocate(1001)), io::ErrorKind::StorageFull);
    assert_eq!(kind_of(file.write_all_at(&[2; 500], 501)), io::ErrorKind::StorageFull);
    file.write_all_at(&[2; 600], 0).unwrap();
    file.allocate(1000).unwrap();

    let other = disk.open(path("dir/other"), OpenMode::Create).unwrap();
    assert_eq!(kind_of(other.write_all_at(b"x", 0)), io::ErrorKind::StorageFull);
    disk.remove(path(FILE)).unwrap();
    other.write_all_at(b"x", 0).unwrap();
}

#[test]
fn the_same_seed_crashes_the_same_way() {
    let (disk, file) = disk_with(&[0; 100_000]);
    for at in 0..50 {
        file.write_all_at(&[at as u8 + 1; 2000], at * 2000).unwrap();
        disk.open(path(&format!("dir/{at}")), OpenMode::Create).unwrap();
    }
    for seed in 0..10 {
        let (one, two) = (disk.crash(seed), disk.crash(seed));
        assert_eq!(one.paths(), two.paths());
        assert_eq!(one.read(path(FILE)).unwrap(), two.read(path(FILE)).unwrap());
    }
    assert!(outcomes(&disk).len() > 50);
}

#[test]
fn random_bytes_come_again_with_the_seed_and_never_within_it() {
    let drawn = |seed| {
        let disk = SimDisk::new(seed);
        let crashed = disk.crash(5);
        [disk.random(), disk.random(), crashed.random(), crashed.crash(5).random()]
    };
    assert_eq!(drawn(1), drawn(1));
    assert_ne!(drawn(1), drawn(2));
    assert_eq!(BTreeSet::from(drawn(1)).len(), 4);
}

#[test]
fn handles_of_a_crashed_disk_do_not_reach_the_disk_it_left() {
    let (disk, file) = disk_with(b"before");
    assert!(file.try_lock().unwrap());
    let crashed = disk.crash(1);
    file.write_all_at(b"beyond", 0).unwrap();
    file.sync_data().unwrap();

    assert_eq!(crashed.read(path(FILE)).unwrap(), b"before");
    assert_eq!(crashed.operations(), 0);
    assert!(crashed.open(path(FILE), OpenMode::Write).unwrap().try_lock().unwrap(), "a crash unlocks");
}

#[test]
fn a_lock_is_held_until_the_last_clone_of_its_handle_is_dropped() {
    let (disk, first) = disk_with(b"");
    let clone = Arc::clone(&first);
    let second = disk.open(path(FILE), OpenMode::Write).unwrap();
    assert!(first.try_lock().unwrap());
    assert!(clone.try_lock().unwrap());
    drop(first);
    assert!(!second.try_lock().unwrap());
    drop(clone);
    assert!(second.try_lock().unwrap());
}

#[test]
fn a_map_reads_what_is_written_later_and_is_refused_beyond_the_end() {
    let (_disk, file) = disk_with(&[0; 100]);
    let map = file.map(100).unwrap();
    file.write_all_at(b"late", 50).unwrap();
    assert_eq!(map.slice(50, 4).unwrap(), &b"late"[..]);
    assert_eq!(kind_of(file.map(101)), io::ErrorKind::UnexpectedEof);
}

#[test]
#[should_panic(expected = "a mapped file is shortened")]
fn shortening_a_mapped_file_fails_the_test() {
    let (_disk, file) = disk_with(&[0; 100]);
    let _map = file.map(100).unwrap();
    let _ = file.set_len(99);
}

#[test]
fn a_file_can_be_shortened_once_its_map_is_dropped() {
    let (_disk, file) = disk_with(&[0; 100]);
    drop(file.map(100).unwrap());
    file.set_len(99).unwrap();
}

#[test]
fn rot_and_tampering_change_what_is_seen_and_what_is_durable() {
    let (disk, file) = disk_with(&[0; 100]);
    disk.flip_bit(path(FILE), 8 * 99 + 1).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 99).unwrap();
    assert_eq!(byte, [2]);
    assert_eq!(disk.crash_keeping_nothing().read(path(FILE)).unwrap()[99], 2);
    assert_eq!(kind_of(disk.flip_bit(path(FILE), 800)), io::ErrorKind::UnexpectedEof);

    disk.truncate(path(FILE), 3).unwrap();
    disk.write(path("far/away"), b"there");
    disk.remove_file(path(FILE)).unwrap();
    let crashed = disk.crash_keeping_nothing();
    assert_eq!(crashed.paths(), [path("far/away")]);
    assert_eq!(crashed.read(path("far/away")).unwrap(), b"there");
}

#[test]
fn directories_are_needed_listed_and_no_files() {
    let disk = SimDisk::new(1);
    assert_eq!(kind_of(disk.open(path("a/b/f"), OpenMode::Create)), io::ErrorKind::NotFound);
    assert_eq!(kind_of(disk.list(path("a"))), io::ErrorKind::NotFound);
    disk.create_dirs(path("a/b")).unwrap();
    disk.open(path("a/f"), OpenMode::Create).unwrap();
    assert_eq!(disk.list(path("a")).unwrap(), ["b", "f"]);
    assert_eq!(kind_of(disk.open(path("a/b"), OpenMode::Create)), io::ErrorKind::IsADirectory);
    assert_eq!(kind_of(disk.create_dirs(path("a/f/g"))), io::ErrorKind::NotADirectory);
    assert!(disk.native_dir(path("a")).is_none());
}

#[test]
fn a_handle_for_reading_refuses_to_write() {
    let (disk, _file) = disk_with(b"kept");
    let file = disk.open(path(FILE), OpenMode::Read).unwrap();
    assert_eq!(kind_of(file.write_all_at(b"x", 0)), io::ErrorKind::PermissionDenied);
    assert_eq!(kind_of(file.allocate(10)), io::ErrorKind::PermissionDenied);
    assert_eq!(disk.read(path(FILE)).unwrap(), b"kept");
}

#[test]
fn each_recorded_moment_is_the_disk_before_one_operation() {
    let (disk, file) = disk_with(b"0");
    disk.record();
    file.write_all_at(b"1", 0).unwrap();
    file.sync_data().unwrap();
    file.write_all_at(b"2", 0).unwrap();

    let moments = disk.moments();
    let seen: Vec<_> = moments.iter().map(|moment| moment.read(path(FILE)).unwrap()).collect();
    assert_eq!(seen, [b"0", b"1", b"1", b"2"]);
    let durable = |moment: &SimDisk| moment.crash_keeping_nothing().read(path(FILE)).unwrap();
    assert_eq!(moments.iter().map(durable).collect::<Vec<_>>(), [b"0", b"0", b"1", b"1"]);
    assert_eq!(disk.moments().len(), 1, "the record is taken once");
}
