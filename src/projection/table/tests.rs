//! Tables: what a commit saves is there with its checkpoint, and whatever is missing is noticed when the table is opened.

use super::*;
use crate::meta;
use crate::model::{HistoryId, Position};
use crate::projection::checkpoint::Cursor;

fn checkpoint(position: u64) -> Checkpoint {
    let cursor = Cursor::new(HistoryId::from_bytes([7; 16]), Position::new(position), 5);
    let parked = super::super::checkpoint::Parked::new(Position::new(3), "it is odd".to_owned());
    Checkpoint::new(cursor, 2, vec![parked])
}

/// What happens to the database of a table.
type Spoil = fn(&dyn Meta, &Keys);

fn begun(meta: &Arc<dyn Meta>) -> Table {
    let mut table = Table::new(meta.clone(), Keys::new("t", 1));
    table.empty(Head::Live).unwrap();
    table
}

fn opened(meta: &Arc<dyn Meta>) -> Result<Table, &'static str> {
    let mut table = Table::new(meta.clone(), Keys::new("t", 1));
    table.prove().unwrap().map(|()| table)
}

fn rows(table: &Table, prefix: &str) -> Vec<(String, u64)> {
    table.rows(prefix).collect::<Result<_, _>>().unwrap()
}

/// Rows `00000` to `02999`, some of them changed and forgotten again, in several commits.
fn filled(meta: &Arc<dyn Meta>) -> Table {
    let mut table = begun(meta);
    for commit in 0..3_u64 {
        for n in 0..3_000 {
            if n % 3 <= commit {
                table.put(&format!("{n:05}"), &(n + commit)).unwrap();
            }
            if n % 7 == commit {
                table.delete(&format!("{n:05}"));
            }
        }
        table.commit(&checkpoint(commit + 1)).unwrap();
    }
    table
}

#[test]
fn what_was_saved_is_there_when_the_table_is_opened() {
    let meta = meta::open(None, 0);
    assert_eq!(opened(&meta).unwrap_err(), "its checkpoint cannot be read");
    let table = filled(&meta);
    let again = opened(&meta).unwrap();
    assert_eq!(again.checkpoint().unwrap(), Some(checkpoint(3)));
    assert_eq!((rows(&again, ""), again.len()), (rows(&table, ""), table.len()));
    assert_eq!(rows(&again, "0").len() as u64, again.len());
    let kept = (0..3_000_u64).filter(|n| n % 7 != 2).count() as u64;
    assert_eq!(again.len(), kept, "what was forgotten in an earlier commit was set again in a later one");
    let mut begins_so = rows(&table, "");
    begins_so.retain(|(key, _)| key.starts_with("0010"));
    assert_eq!(rows(&again, "0010"), begins_so);
}

#[test]
fn a_row_that_is_lost_changed_or_added_is_noticed() {
    let spoil: [(&str, Spoil); 5] = [
        ("lost", |meta, keys| meta.delete(&keys.row("00102")).unwrap()),
        ("changed", |meta, keys| meta.put(&keys.row("00102"), &stored::seal_row(b"1").unwrap()).unwrap()),
        ("added", |meta, keys| meta.put(&keys.row("x"), &stored::seal_row(b"1").unwrap()).unwrap()),
        ("damaged", |meta, keys| meta.put(&keys.row("00102"), b"?").unwrap()),
        ("swapped", |meta, keys| {
            let value = |key| meta.get(&keys.row(key)).unwrap().unwrap();
            let (one, other) = (value("00102"), value("00103"));
            meta.put(&keys.row("00102"), &other).unwrap();
            meta.put(&keys.row("00103"), &one).unwrap();
        }),
    ];
    for (what, spoil) in spoil {
        let meta = meta::open(None, 0);
        let table = filled(&meta);
        spoil(meta.as_ref(), &table.keys);
        assert!(opened(&meta).is_err(), "{what}");
    }
}

#[test]
fn changes_are_seen_by_whoever_made_them_and_gone_when_they_are_taken_back() {
    let meta = meta::open(None, 0);
    let mut table = begun(&meta);
    for key in ["a", "b", "d"] {
        table.put(key, &1_u64).unwrap();
    }
    table.commit(&checkpoint(1)).unwrap();
    table.put("c", &2_u64).unwrap();
    table.put("b", &2_u64).unwrap();
    table.delete("d");
    table.put("ab", &2_u64).unwrap();
    let of =
        |rows: &[(&str, u64)]| rows.iter().map(|(key, row)| ((*key).to_owned(), *row)).collect::<Vec<_>>();
    assert_eq!(rows(&table, ""), of(&[("a", 1), ("ab", 2), ("b", 2), ("c", 2)]));
    assert_eq!(rows(&table, "a"), of(&[("a", 1), ("ab", 2)]));
    assert_eq!((table.get::<u64>("d").unwrap(), table.get::<u64>("b").unwrap()), (None, Some(2)));
    table.rollback().unwrap();
    assert_eq!(rows(&table, ""), of(&[("a", 1), ("b", 1), ("d", 1)]));
    assert!(table.get::<String>("a").is_err(), "a row of another type is told");
    assert!(opened(&meta).is_ok());
}

#[test]
fn a_commit_into_a_database_that_began_anew_fails() {
    let meta = meta::open(None, 0);
    let mut table = filled(&meta);
    meta.delete_prefix(b"").unwrap();
    table.put("x", &1_u64).unwrap();
    assert!(table.commit(&checkpoint(4)).is_err());
    assert!(opened(&meta).is_err(), "the batch alone is not the table");
}

#[test]
fn generations_are_found_by_their_heads_whatever_their_rows_are_called() {
    let meta = meta::open(None, 0);
    for number in [1, 2, 300] {
        let mut table = Table::new(meta.clone(), Keys::new("t", number));
        table.empty(if number == 2 { Head::Live } else { Head::Beside }).unwrap();
        for key in ["", "\u{10ffff}", "k"] {
            table.put(key, &1_u64).unwrap();
        }
        table.commit(&checkpoint(1)).unwrap();
    }
    let mut other = Table::new(meta.clone(), Keys::new("t2", 9));
    other.empty(Head::Live).unwrap();
    let heads = |meta: &dyn Meta| stored::generations(meta, "t").unwrap();
    let (live, beside) = (Some(Head::Live), Some(Head::Beside));
    assert_eq!(heads(meta.as_ref()), [(1, beside), (2, live), (300, beside)]);
    let mut table = Table::new(meta.clone(), Keys::new("t", 300));
    table.promote().unwrap();
    assert_eq!(heads(meta.as_ref()), [(1, beside), (2, beside), (300, live)]);
}
