//! Group commit for the SQLite store: changes that wait at one time share a transaction, and so one write to the disk.

use rusqlite::Connection;

use crate::jobs::store::StoreError;

/// What the thread of the store does.
pub(super) enum Work {
    /// By itself, outside of a transaction: it reads, or cannot be in one.
    Alone(Box<dyn FnOnce(&mut Connection) + Send>),
    /// In a transaction, with others that wait.
    Change(Change),
}

/// It must not begin a transaction, which is there already; or why there is none.
pub(super) type Change = Box<dyn FnOnce(Result<&Connection, StoreError>) -> Changed + Send>;

/// A change that has been made, or not, and is not yet on the disk.
pub(super) struct Changed {
    /// Otherwise nothing of it may stay.
    pub is_made: bool,
    /// Tells the caller once the transaction has ended, and how.
    pub tell: Tell,
}

/// Gets the end of the transaction.
pub(super) type Tell = Box<dyn FnOnce(Result<(), StoreError>)>;

/// Changes of one transaction. A batch of new jobs is one of them.
pub(super) const CHANGES_MAX: usize = 256;

/// Makes all changes in one transaction, in their order. One that fails leaves nothing behind, and the others stay. Each
/// caller hears only after the commit.
pub(super) fn commit_together(connection: &mut Connection, changes: Vec<Change>) {
    let mut changes = changes.into_iter();
    let mut made = Vec::with_capacity(changes.len());
    let committed = make_all(connection, &mut changes, &mut made).map_err(StoreError::from);
    made.into_iter().for_each(|tell: Tell| tell(committed.clone()));
    let Err(error) = committed else { return };
    for change in changes {
        (change(Err(error.clone())).tell)(Ok(()));
    }
}

fn make_all(
    connection: &mut Connection,
    changes: &mut impl Iterator<Item = Change>,
    made: &mut Vec<Tell>,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for change in changes {
        // Cached, because these are half of the statements.
        let begun = transaction.prepare_cached("savepoint change").and_then(|mut begin| begin.execute([]));
        let Changed { is_made, tell } = change(begun.map(|_| &*transaction).map_err(StoreError::from));
        made.push(tell);
        if !is_made {
            transaction.prepare_cached("rollback to change")?.execute([])?;
        }
        transaction.prepare_cached("release change")?.execute([])?;
    }
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    type Ended = Result<(), String>;

    fn insert(number: i64, ended: &mpsc::Sender<(i64, Ended)>) -> Change {
        let ended = ended.clone();
        Box::new(move |connection| {
            let connection = connection.expect("a transaction");
            // The second statement fails for odd numbers.
            let done = connection
                .execute("insert into t values (?1)", [number])
                .and_then(|_| connection.execute("insert into u values (?1)", [number % 2]));
            let is_made = done.is_ok();
            let tell: Tell = Box::new(move |committed| {
                let done = done.map(drop).map_err(|error| error.to_string());
                ended.send((number, committed.map_err(|error| error.0).and(done))).expect("a receiver");
            });
            Changed { is_made, tell }
        })
    }

    fn numbers(connection: &Connection) -> Vec<i64> {
        let mut statement = connection.prepare("select * from t order by 1").expect("a table");
        let rows = statement.query_map([], |row| row.get(0)).expect("rows");
        rows.map(|row| row.expect("a number")).collect()
    }

    #[test]
    fn a_change_that_fails_takes_only_itself_back() {
        let mut connection = Connection::open_in_memory().expect("a database");
        connection.execute_batch("create table t (x); create table u (x check (x = 0))").expect("tables");
        let (sender, ended) = mpsc::channel();
        commit_together(&mut connection, [2, 4, 5, 6].map(|number| insert(number, &sender)).into());
        assert_eq!(numbers(&connection), [2, 4, 6]);
        let heard: Vec<(i64, bool)> = ended.try_iter().map(|(number, ended)| (number, ended.is_ok())).collect();
        assert_eq!(heard, [(2, true), (4, true), (5, false), (6, true)]);
    }

    #[test]
    fn a_commit_that_fails_fails_all() {
        let mut connection = Connection::open_in_memory().expect("a database");
        let tables = "pragma foreign_keys = on; create table p (x primary key); create table u (x);
                      create table t (x references p deferrable initially deferred)";
        connection.execute_batch(tables).expect("tables");
        let (sender, ended) = mpsc::channel();
        commit_together(&mut connection, [2, 4].map(|number| insert(number, &sender)).into());
        assert_eq!(numbers(&connection), [0; 0]);
        assert_eq!(ended.try_iter().filter(|(_, ended)| ended.is_err()).count(), 2);
    }
}
