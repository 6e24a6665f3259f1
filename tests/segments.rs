//! Many small segments: everything holds across seals, reopening, and the loss of every derived file.

use annals::testkit::SimDisk;
use annals::{
    Append, AppendError, Error, EventStore, ExpectedVersion, Metadata, Options, Position, Read, StreamVersion,
};

use crate::support::*;

const EVENTS: u64 = 3000;

fn fill(store: &EventStore) {
    for n in 0..EVENTS {
        append(store, &format!("s-{}", n % 7), [event(n)]);
    }
}

fn check(store: &EventStore) {
    let wanted: Vec<_> = (0..EVENTS).map(|n| (format!("s-{}", n % 7), n / 7 + 1, n)).collect();
    assert_eq!(everything(store), wanted);
    let backward: Vec<u64> = read(store, Read::all().backward()).iter().map(n_of).collect();
    assert!(backward.into_iter().eq((0..EVENTS).rev()));
    for s in 0..7 {
        let name = stream(&format!("s-{s}"));
        let of_stream: Vec<u64> = (0..EVENTS).filter(|n| n % 7 == s).collect();
        let numbers = |request: Read| read(store, request).iter().map(n_of).collect::<Vec<_>>();
        assert_eq!(numbers(Read::stream(name.clone())), of_stream);
        let reversed: Vec<u64> = of_stream.iter().copied().rev().collect();
        assert_eq!(numbers(Read::stream(name.clone()).backward()), reversed);
        let slice = Read::stream(name.clone()).from(version(100)).to(version(300));
        assert_eq!(numbers(slice.clone()), of_stream[99..300]);
        let back = slice.backward().limit(50);
        assert_eq!(numbers(back), of_stream[250..300].iter().copied().rev().collect::<Vec<_>>());
        let after = Read::stream(name.clone()).after(Position::new(1500)).before(Position::new(2000));
        let wanted: Vec<u64> = of_stream.iter().copied().filter(|n| (1500..1999).contains(n)).collect();
        assert_eq!(numbers(after.clone()), wanted);
        assert_eq!(numbers(after.backward()), wanted.into_iter().rev().collect::<Vec<_>>());
        let info = store.stream(&name).expect("readable").expect("exists");
        assert_eq!(info.version, StreamVersion::new(of_stream.len() as u64));
        assert_eq!(info.first_position, Position::new(s + 1));
    }
    let names: Vec<_> = store
        .streams(Position::START)
        .expect("readable")
        .map(|info| info.expect("readable").name.to_string())
        .collect();
    assert_eq!(names, (0..7).map(|s| format!("s-{s}")).collect::<Vec<_>>());
}

#[test]
fn reads_hold_across_seals_reopening_and_the_loss_of_derived_files() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    fill(&store);
    assert!(store.stats().expect("readable").segments > 5, "the segments are small");
    check(&store);
    store.close().expect("closed");
    check(&open(on(&disk)));
    for path in disk.paths() {
        let name = path.to_string_lossy().into_owned();
        if !name.ends_with(".seg") {
            disk.remove_file(&path).expect("the file is there");
        }
    }
    let store = open(on(&disk));
    check(&store);
    check(&open(on(&disk).read_only(true)));
    append(&store, "s-0", [event(EVENTS)]);
    assert_eq!(store.stream(&stream("s-0")).expect("readable").expect("exists").version, version(430));
}

#[test]
fn one_append_to_many_streams_goes_on_where_each_stands_in_whichever_segment_that_is() {
    const STREAMS: u64 = 40;
    let store = open(on(&SimDisk::new(2)));
    let name = |s: u64| stream(&format!("many-{s}"));
    let mut versions = vec![0; STREAMS as usize];
    for n in 0..EVENTS {
        // The first streams lie in the first segments only, and the last in the last.
        let s = (n * STREAMS / EVENTS + n % 5).min(STREAMS - 1);
        append(&store, name(s).as_str(), [event(n)]);
        versions[s as usize] += 1;
    }
    assert!(store.stats().expect("readable").segments > 5, "the segments are small");
    let with = |wrong: Option<u64>| {
        let known = (0..STREAMS).map(|s| (s, versions[s as usize] + u64::from(wrong == Some(s))));
        let new = (STREAMS..2 * STREAMS).map(|s| (s, 0));
        known.chain(new).fold(Append::default(), |append, (s, version)| {
            let expected = match version {
                0 => ExpectedVersion::None,
                version => ExpectedVersion::Exactly(StreamVersion::new(version)),
            };
            append.and_to(name(s), expected, [event(EVENTS + s)])
        })
    };
    for s in [0, 17, STREAMS - 1] {
        assert!(
            matches!(store.append(with(Some(s))), Err(AppendError::Conflict { stream, .. }) if stream == name(s))
        );
    }
    let receipt = store.append(with(None)).expect("each stands where it is expected");
    for (stream, version) in receipt.streams.iter().zip(versions.iter().chain(std::iter::repeat(&0))) {
        assert_eq!(stream.version.get(), version + 1, "{}", stream.stream);
    }
}

#[test]
fn a_reader_of_a_damaged_segment_without_index_is_told_instead_of_given_less() {
    let disk = SimDisk::new(3);
    let store = open(on(&disk));
    fill(&store);
    store.close().expect("closed");
    disk.remove_file("store/log/0000000002.idx".as_ref()).expect("a sealed segment has an index");
    disk.flip_bit("store/log/0000000002.seg".as_ref(), 30_000 * 8).expect("the segment is as long as that");

    let store = open(on(&disk).read_only(true));
    let events =
        store.read(Read::stream(stream("s-0"))).and_then(|events| events.collect::<Result<Vec<_>, _>>());
    let Err(Error::Damaged { path, offset, .. }) = &events else { panic!("{events:?}") };
    assert!(path.ends_with("0000000002.seg"), "{events:?}");
    // Where the frame begins that was hit; an event has at most some hundred bytes.
    assert!((29_000..=30_000).contains(offset), "{events:?}");
}

#[test]
fn the_real_disk_and_its_threads_hold_the_same() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = || Options::new(dir.path()).segment_bytes(SMALL);
    let store = open(options());
    fill(&store);
    check(&store);
    drop(store);
    check(&open(options()));
}

#[test]
fn an_append_larger_than_a_segment_gets_one_of_its_own_size() {
    let disk = SimDisk::new(2);
    let store = open(on(&disk));
    append(&store, "a", [event(1)]);
    append(&store, "a", [large_event(2, 3 * SMALL as usize)]);
    append(&store, "a", [event(3)]);
    drop(store);
    let store = open(on(&disk));
    assert_eq!(everything(&store).len(), 3);
    assert_eq!(read(&store, Read::all())[1].data().len(), 3 * SMALL as usize + 19);
}

/// How many files of a directory this process has open.
#[cfg(target_os = "linux")]
fn open_files(dir: &std::path::Path) -> usize {
    let handles = std::fs::read_dir("/proc/self/fd").expect("Linux tells");
    let paths = handles.filter_map(|handle| std::fs::read_link(handle.ok()?.path()).ok());
    paths.filter(|path| path.starts_with(dir)).count()
}

#[cfg(target_os = "linux")]
#[test]
fn the_count_of_open_files_does_not_grow_with_the_count_of_segments() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let options = || Options::new(dir.path()).segment_bytes(SMALL);
    let fill = |store: &EventStore| {
        (0..100).for_each(|n| drop(append(store, &format!("s-{n}"), [large_event(n, 20_000)])));
    };
    let store = open(options());
    fill(&store);
    assert!(store.stats().expect("readable").segments > 30);
    let written = open_files(dir.path());
    assert!(written < 10, "{written} files are open");
    drop(store);
    let store = open(options());
    assert_eq!(everything(&store).len(), 100);
    let opened = open_files(dir.path());
    assert!(opened < 10, "{opened} files are open");
}

#[test]
fn a_segment_ends_when_its_index_has_its_share_of_the_memory() {
    let disk = SimDisk::new(1);
    let options = on(&disk).segment_bytes(64 << 20).memory_bytes(annals::MEMORY_BYTES_MIN);
    let store = open(options.clone());
    // 32 tags of their own take 2 KiB of index each event, and no more of the log.
    for first in (0..3000).step_by(100) {
        let tagged = |n: u64| {
            let tags: Vec<String> = (0..32).map(|tag| format!("k:{n}-{tag}")).collect();
            event(n).metadata(Metadata::default().with("tags", &tags).expect("legal"))
        };
        append(&store, "s", (first..first + 100).map(tagged));
    }
    assert!(store.stats().expect("readable").segments > 2, "the log alone would fill a thirtieth of one");
    assert_eq!(everything(&store).len(), 3000);
    store.close().expect("closed");
    assert_eq!(everything(&open(options)).len(), 3000);
}

#[test]
fn indexes_are_built_one_by_one_whatever_their_count() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    for n in 0..400 {
        append(&store, "every", [large_event(n, 30_000)]);
    }
    assert!(store.stats().expect("readable").segments > 190);
    store.close().expect("closed");
    for path in disk.paths().iter().filter(|path| path.to_string_lossy().ends_with(".idx")) {
        disk.remove_file(path).expect("the file is there");
    }
    // A stack that would not hold one call in another for each segment.
    let read_all = move || {
        let store = open(on(&disk));
        assert_eq!(read(&store, Read::stream(stream("every"))).len(), 400);
        assert_eq!(read(&store, Read::stream(stream("every")).backward()).len(), 400);
    };
    let small = std::thread::Builder::new().stack_size(256 << 10).spawn(read_all).expect("a thread starts");
    small.join().expect("the stack is enough");
}

#[cfg(target_os = "linux")]
#[test]
fn a_segment_that_ends_early_for_its_index_gives_back_the_space_it_did_not_need() {
    use std::os::unix::fs::MetadataExt;

    let dir = tempfile::tempdir().expect("a directory");
    let options = || Options::new(dir.path()).segment_bytes(64 << 20).memory_bytes(annals::MEMORY_BYTES_MIN);
    let store = open(options());
    let second = dir.path().join("log/0000000002.seg");
    let mut appended = 0;
    while store.stats().expect("readable").segments < 2 {
        let writes = (0..1_000).map(|n| (stream(&format!("s-{appended}-{n}")), event(n)));
        store.append(writes.collect()).expect("appended");
        appended += 1_000;
    }
    assert!(second.exists());
    // Closing waits for what goes on in the background.
    store.close().expect("closed");
    let first = std::fs::metadata(dir.path().join("log/0000000001.seg")).expect("is there");
    assert_eq!(first.len(), 64 << 20);
    let used = first.blocks() * 512;
    assert!(used < 16 << 20, "{used} bytes for {appended} small events");
    assert_eq!(everything(&open(options())).len(), appended);
}
