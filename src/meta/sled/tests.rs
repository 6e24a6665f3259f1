//! What becomes of values when sled's files are damaged: they are as they were, or gone.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::testkit::Rng;

fn open(dir: &Path) -> SledMeta {
    SledMeta::new(dir.join("meta"), 1 << 20)
}

/// Bytes that tell by themselves where they belong.
fn value(number: u8) -> Vec<u8> {
    let len = [0, 1, 5000, CHUNK_BYTES - HEADER_BYTES, CHUNK_BYTES, 100_000][usize::from(number) % 6];
    (0..len).map(|at| (at % 251) as u8 ^ number).collect()
}

fn fill(dir: &Path) {
    let meta = open(dir);
    for number in 0..12 {
        meta.put(&[b'k', number], &value(number)).unwrap();
    }
}

fn files_of(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_of(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn copy_files(from: &Path, to: &Path) {
    for file in files_of(from) {
        let copy = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(file, &copy).unwrap();
    }
}

fn names_in(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn damage(path: &Path, rng: &mut Rng) {
    let mut bytes = fs::read(path).unwrap();
    match rng.below(4) {
        0 => return fs::remove_file(path).unwrap(),
        1 => bytes.truncate(rng.below(bytes.len() as u64 + 1) as usize),
        2 => bytes.fill(rng.next_u64() as u8),
        _ => {
            for _ in 0..=rng.below(20) {
                let at = rng.below(bytes.len() as u64) as usize;
                bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << rng.below(8));
            }
        }
    }
    fs::write(path, bytes).unwrap();
}

#[test]
fn values_of_every_size_are_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let meta = open(dir.path());
    for number in 0..12 {
        assert_eq!(meta.get(&[b'k', number]).unwrap(), Some(value(number)));
    }
    assert_eq!(names_in(dir.path()), ["meta"]);
}

#[test]
fn a_shorter_value_leaves_no_chunk_of_the_longer_one_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let meta = open(dir.path());
    meta.put(b"k", &value(5)).unwrap();
    meta.put(b"k\0\0\0\0", b"a longer key between its chunks").unwrap();
    meta.put(b"k", b"short").unwrap();
    let chunks = meta.with(|db| Ok(db.len())).unwrap();
    assert_eq!(chunks, 2);

    assert_eq!(meta.get(b"k").unwrap().as_deref(), Some(&b"short"[..]));
    assert_eq!(meta.scan_prefix(b"k").unwrap(), [b"k".to_vec(), b"k\0\0\0\0".to_vec()]);
    meta.delete(b"k").unwrap();
    assert_eq!(meta.scan_prefix(b"").unwrap(), [b"k\0\0\0\0"]);
}

#[test]
fn a_value_with_a_missing_or_changed_chunk_is_absent() {
    let dir = tempfile::tempdir().unwrap();
    let meta = open(dir.path());
    for number in 0..4 {
        meta.put(b"k", &value(5)).unwrap();
        meta.with(|db| db.remove(chunk_key(b"k", number))).unwrap();
        assert_eq!(meta.get(b"k").unwrap(), None, "without chunk {number}");

        meta.put(b"k", &value(5)).unwrap();
        meta.with(|db| db.insert(chunk_key(b"k", number), &b"other bytes"[..])).unwrap();
        assert_eq!(meta.get(b"k").unwrap(), None, "with another chunk {number}");
    }
}

#[test]
fn whatever_happens_to_its_files_a_value_is_as_it_was_or_absent() {
    let pristine = tempfile::tempdir().unwrap();
    fill(pristine.path());
    let (mut kept, mut lost) = (0, 0);

    for seed in 0..150 {
        let mut rng = Rng::new(seed);
        let dir = tempfile::tempdir().unwrap();
        copy_files(pristine.path(), dir.path());
        let files = files_of(dir.path());
        damage(&files[rng.below(files.len() as u64) as usize], &mut rng);

        for _ in 0..2 {
            let meta = open(dir.path());
            for number in 0..12 {
                let found = meta.get(&[b'k', number]).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
                *(if found.is_some() { &mut kept } else { &mut lost }) += 1;
                assert!(found.is_none_or(|found| found == value(number)), "seed {seed}, value {number}");
            }
            meta.put(b"new", b"works").unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            assert_eq!(meta.get(b"new").unwrap().as_deref(), Some(&b"works"[..]), "seed {seed}");
        }
    }
    assert!(kept > 0 && lost > 0, "{kept} values kept, {lost} lost: the damage is all or nothing");
}

#[test]
fn a_value_that_a_damaged_tree_takes_and_forgets_is_put_into_a_new_directory() {
    let pristine = tempfile::tempdir().unwrap();
    // Pages are split and joined, so that an old one names neighbours that are gone.
    for life in 0..3 {
        let meta = open(pristine.path());
        for number in 0..60 {
            meta.put(&[b'k', number], &value(number + life)).unwrap();
            if !number.is_multiple_of(4) {
                meta.delete(&[b'k', number.wrapping_sub(3)]).unwrap();
            }
        }
    }
    let mut blobs = files_of(&pristine.path().join("meta/blobs"));
    blobs.sort_by_key(|path| path.file_name().unwrap().to_string_lossy().parse::<u64>().unwrap());
    let newest = blobs.pop().unwrap();
    let mut aside = 0;
    for other in &blobs {
        let dir = tempfile::tempdir().unwrap();
        copy_files(pristine.path(), dir.path());
        let place = |path: &Path| dir.path().join(path.strip_prefix(pristine.path()).unwrap());
        fs::copy(other, place(&newest)).unwrap();
        fs::copy(&newest, place(other)).unwrap();
        let meta = open(dir.path());
        for number in 0..60 {
            let key = [b'k', number, b'n'];
            meta.put(&key, b"new").unwrap();
            assert_eq!(meta.get(&key).unwrap().as_deref(), Some(&b"new"[..]), "{other:?}, {number}");
        }
        aside += names_in(dir.path()).len() - 1;
    }
    assert!(aside > 0, "nothing was noticed");
}

#[test]
fn a_damaged_directory_is_kept_under_the_first_free_name() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("meta.damaged-1")).unwrap();
    fill(dir.path());
    fs::write(dir.path().join("meta/conf"), b"not sled's").unwrap();

    assert_eq!(open(dir.path()).get(b"k\0").unwrap(), None);
    assert_eq!(names_in(dir.path()), ["meta", "meta.damaged-1", "meta.damaged-2"]);
}

#[test]
fn a_directory_that_another_process_uses_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (open(dir.path()), open(dir.path()));
    first.put(b"k", b"v").unwrap();
    assert!(second.get(b"k").is_err());
    assert_eq!(names_in(dir.path()), ["meta"]);

    drop(first);
    assert_eq!(second.get(b"k").unwrap().as_deref(), Some(&b"v"[..]));
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error_and_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), b"").unwrap();
    let meta = SledMeta::new(dir.path().join("file/meta"), 1 << 20);
    assert!(meta.get(b"k").is_err());
    assert!(meta.put(b"k", b"v").is_err());
}

#[test]
fn a_panic_of_sleds_moves_its_directory_aside_and_the_work_is_done_in_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let meta = open(dir.path());
    let panicked = AtomicBool::new(false);
    let count = meta.with(|db| match panicked.swap(true, Ordering::Relaxed) {
        true => Ok(db.len()),
        false => panic!("as sled does over some damaged files"),
    });
    assert_eq!(count.unwrap(), 0);
    assert_eq!(names_in(dir.path()), ["meta", "meta.damaged-1"]);
    meta.put(b"k", b"v").unwrap();
}

#[test]
fn a_sled_that_panics_in_an_empty_directory_is_an_error_from_then_on_and_fills_no_disk() {
    let dir = tempfile::tempdir().unwrap();
    let meta = open(dir.path());
    let panicked: Result<(), _> = meta.with(|_| panic!("as sled does when a thread of its pool died"));
    assert!(panicked.is_err());
    for _ in 0..3 {
        assert!(meta.get(b"k").is_err());
    }
    assert_eq!(names_in(dir.path()), ["meta", "meta.damaged-1"]);
}
