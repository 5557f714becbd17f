//! A file that is damaged at random: no session that ended lives again, none is otherwise than it was, and where changes are
//! missing everybody is logged out.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use exeunt::store::sqlite::rusqlite::Connection;
use exeunt::store::sqlite::{Loss, OpenError, SqliteStore};
use exeunt::store::{Created, Saved};
use exeunt::{Record, SessionId, Store as _, Timestamp, UserId, Verifier};

use super::chance::Chance;
use super::load::record;

const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);
const SESSIONS: i64 = 300;
const PEOPLE: i64 = 20;
/// The files of a database: data, log, mark.
const FILES: [&str; 3] = ["a.db", "a.db-wal", "a.db-mark"];

/// What a process that died left behind, and what it had acknowledged.
struct Image {
    /// `None`: there is none.
    files: [Option<Vec<u8>>; 3],
    acknowledged: HashMap<SessionId, Option<Record>>,
    /// The mark as it was at the beginning: what a writer that never writes it would leave.
    early_mark: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    /// Everything is in the log.
    Log,
    /// The logins are in the data, and what became of them is in the log.
    Both,
    /// It was closed, which folds the log into the data.
    Data,
}

impl Image {
    async fn new(left: Left) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::new_at(&folder.path().join("a.db"), left).await
    }

    async fn new_at(path: &Path, left: Left) -> Self {
        let folder = path.parent().unwrap();
        let store = SqliteStore::open(path).unwrap();
        let early_mark = fs::read(folder.join("a.db-mark")).unwrap();
        let records: Vec<_> = (1..=SESSIONS).map(session).collect();
        for record in &records {
            assert_eq!(store.create(record, 1_000).await.unwrap(), Created::Yes { ended: vec![] });
        }
        if left == Left::Both {
            let connection = Connection::open(path).unwrap();
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        }
        change(&store, &records).await;
        let mut acknowledged = HashMap::new();
        for record in &records {
            let now = store.load(&record.id(), NOW).await.unwrap();
            acknowledged.insert(record.id(), now.map(|record| (*record).clone()));
        }
        let is_live = |record: &&Option<Record>| record.is_some();
        let live = acknowledged.values().filter(is_live).count();
        assert!(live > 50 && live < 200, "{live} live on");
        let open = (left != Left::Data).then_some(store);
        let files = FILES.map(|name| fs::read(folder.join(name)).ok());
        assert_eq!(files[1].is_some(), open.is_some());
        Self { files, acknowledged, early_mark }
    }

    /// As a writer would leave it that never writes the mark.
    fn without_marking(mut self) -> Self {
        self.files[2] = Some(self.early_mark.clone());
        self
    }

    /// What a process leaves that dies while the log is being folded: SQLite copies page by page, in their order, and the first
    /// half of them is in the data. And the mark as it was before that.
    async fn half_folded() -> (Self, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let mut image = Self::new_at(&path, Left::Both).await;
        image.write(folder.path());
        // A reader that began before the last changes keeps the log from being folded as a whole.
        let store = SqliteStore::open(&path).unwrap();
        let reader = Connection::open(&path).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM session;").unwrap();
        assert!(!store.destroy(&session(SESSIONS + 9).id()).await.unwrap());
        let read = |at: usize| fs::read(folder.path().join(FILES[at])).unwrap();
        let early_mark = read(2);
        drop(store);
        (image.files[1], image.files[2]) = (Some(read(1)), Some(read(2)));
        assert_ne!(image.files[2].as_ref(), Some(&early_mark), "it says that the log is being folded");
        drop(reader);
        image.write(folder.path());
        let connection = Connection::open(&path).unwrap();
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        let folded = fs::read(&path).unwrap();
        let data = image.files[0].as_mut().unwrap();
        let half = (data.len() / 2) & !4095;
        data[..half].copy_from_slice(&folded[..half]);
        (image, early_mark)
    }

    fn write(&self, folder: &Path) {
        for (name, bytes) in FILES.iter().zip(&self.files) {
            if let Some(bytes) = bytes {
                fs::write(folder.join(name), bytes).unwrap();
            }
        }
    }
}

fn session(number: i64) -> Record {
    let mut parts = record(number, &UserId::from(number % PEOPLE), NOW).into_parts();
    // Some reach over the end of a page.
    let length = if number % 25 == 0 { 9_000 } else { 200 };
    parts.data.set("text", &"x".repeat(length)).unwrap();
    Record::restore(parts)
}

async fn change(store: &SqliteStore, records: &[Record]) {
    for record in records {
        let (id, verifier) = (record.id(), record.verifier());
        match id.to_i64() % 4 {
            0 | 1 => assert!(store.destroy(&id).await.unwrap()),
            2 => {
                let mut data = record.data();
                data.set("text", &"y".repeat(200)).unwrap();
                assert_eq!(store.save(&id, verifier, 0, &data, NOW).await.unwrap(), Saved::At(1));
            }
            _ => {
                let new = Verifier::from_bytes([8; 32]);
                assert!(store.renew(&id, verifier, &new, NOW, record.ends_at()).await.unwrap());
            }
        }
    }
    for person in [2, 3] {
        assert!(!store.destroy_all(&UserId::from(person), None).await.unwrap().is_empty());
    }
}

/// What became of a damaged file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// It cannot be opened, and says why.
    Refused,
    /// Everybody is logged out, and that is said.
    Ended,
    /// It is taken as it is. Some sessions may be gone, or cannot be read.
    Taken,
}

/// Damages a copy of the image, opens it, and looks for what must never be. `Err`: it was.
async fn trial(image: &Image, at: &[usize], chance: &mut Chance) -> Result<Outcome, String> {
    let folder = tempfile::tempdir().unwrap();
    image.write(folder.path());
    let there: Vec<_> = at.iter().copied().filter(|at| image.files[*at].is_some()).collect();
    let damaged = there[chance.below(there.len())];
    let what = damage(&folder.path().join(FILES[damaged]), chance);
    let what = format!("{}: {what}", FILES[damaged]);
    let store = match SqliteStore::open(folder.path().join("a.db")) {
        Ok(store) => store,
        Err(OpenError::Locked { .. }) => panic!("nobody else has it"),
        Err(_) => return Ok(Outcome::Refused),
    };
    let loss = store.database().loss();
    let mut seen: Vec<Record> = Vec::new();
    for id in image.acknowledged.keys() {
        seen.extend(store.load(id, NOW).await.ok().flatten().map(|record| (*record).clone()));
    }
    for person in 0..PEOPLE {
        seen.extend(store.list(&UserId::from(person), NOW).await.unwrap_or_default());
    }
    seen.extend(store.walk(None, usize::MAX, NOW).await.unwrap_or_default());
    for record in &seen {
        match image.acknowledged.get(&record.id()) {
            _ if loss.is_some() => return Err(format!("{what}: {loss:?}, and {} lives on", record.id())),
            Some(Some(acknowledged)) if acknowledged == record => (),
            Some(None) => return Err(format!("{what}: {} lives again", record.id())),
            _ => return Err(format!("{what}: {} is not as it was", record.id())),
        }
    }
    let is_missing = image.acknowledged.values().flatten().any(|record| !seen.contains(record));
    match loss {
        // Whoever logs in now stays.
        Some(_) if damaged > 0 => {
            let new = session(SESSIONS + 1);
            let created = store.create(&new, 1_000).await.map_err(|error| format!("{what}: {error}"))?;
            assert_eq!(created, Created::Yes { ended: vec![] }, "{what}");
            assert!(store.load(&new.id(), NOW).await.unwrap().is_some(), "{what}");
            Ok(Outcome::Ended)
        }
        Some(_) => Ok(Outcome::Ended),
        None if damaged > 0 && is_missing => Err(format!("{what}: changes are missing, and nobody was told")),
        None => Ok(Outcome::Taken),
    }
}

fn damage(file: &Path, chance: &mut Chance) -> String {
    let mut bytes = fs::read(file).unwrap();
    let (length, place) = (bytes.len(), chance.below(bytes.len()));
    match chance.below(8) {
        0..=2 => {
            bytes[place] ^= 1 << chance.below(8);
            fs::write(file, bytes).unwrap();
            format!("a bit of byte {place} of {length} flipped")
        }
        3 => {
            let flips = 2 + chance.below(30);
            for _ in 0..flips {
                let place = chance.below(length);
                bytes[place] ^= 1 << chance.below(8);
            }
            fs::write(file, bytes).unwrap();
            format!("{flips} bits flipped")
        }
        4 => {
            let sector = place & !511;
            let end = length.min(sector + 512);
            bytes[sector..end].fill(0);
            fs::write(file, bytes).unwrap();
            format!("the sector at {sector} of {length} emptied")
        }
        5 | 6 => {
            fs::write(file, &bytes[..place]).unwrap();
            format!("cut at {place} of {length}")
        }
        _ => {
            fs::remove_file(file).unwrap();
            "removed".to_owned()
        }
    }
}

async fn images() -> [Image; 3] {
    [Image::new(Left::Log).await, Image::new(Left::Both).await, Image::new(Left::Data).await]
}

#[tokio::test]
async fn no_damage_revives_a_session() {
    // R04
    let images = images().await;
    let trials = services::rounds(40, 1_000);
    let mut counts = HashMap::new();
    for seed in 0..trials {
        let mut chance = Chance::new(u64::from(seed));
        let image = &images[chance.below(images.len())];
        let outcome = trial(image, &[0, 0, 0, 1, 1, 1, 2], &mut chance).await;
        let outcome = outcome.unwrap_or_else(|what| panic!("seed {seed}: {what}"));
        *counts.entry(format!("{outcome:?}")).or_insert(0) += 1;
    }
    println!("{trials} damaged files: {counts:?}, and no session was revived or changed");
}

#[tokio::test]
async fn a_writer_that_does_not_write_the_mark_is_found_out() {
    let [in_the_log, in_both, _] = images().await;
    let (mut revived, mut silent) = (0, 0);
    for (seed, image) in
        [in_the_log.without_marking(), in_both.without_marking()].iter().cycle().take(40).enumerate()
    {
        let mut chance = Chance::new(u64::try_from(seed).unwrap());
        match trial(image, &[1], &mut chance).await {
            Err(what) if what.ends_with("lives again") => revived += 1,
            Err(_) => silent += 1,
            Ok(_) => (),
        }
    }
    println!(
        "without marking: {revived} of 40 damaged logs revived sessions, {silent} lost changes in silence"
    );
    assert!(revived > 0 && revived + silent > 20);
}

#[tokio::test]
async fn damage_gets_into_rows_and_only_a_checksum_notices() {
    let image = Image::new(Left::Data).await;
    let (mut files, mut rows) = (0, 0);
    for seed in 0..40 {
        let folder = tempfile::tempdir().unwrap();
        image.write(folder.path());
        let file = folder.path().join(FILES[0]);
        damage(&file, &mut Chance::new(seed));
        let Ok(connection) = Connection::open(file) else { continue };
        let is_other = |(id, record): (&SessionId, &Option<Record>)| {
            let sql = "SELECT verifier, data FROM session WHERE id = ?1";
            let found = connection.query_row(sql, [id.to_i64()], |row| Ok((row.get(0)?, row.get(1)?)));
            // What cannot be read at all is noticed by SQLite.
            found.is_ok_and(|(verifier, data): ([u8; 32], String)| {
                let is_same =
                    |record: &Record| *record.verifier().as_bytes() == verifier && record.data_json() == data;
                !record.as_ref().is_some_and(is_same)
            })
        };
        let other = image.acknowledged.iter().filter(|entry| is_other(*entry)).count();
        files += usize::from(other > 0);
        rows += other;
    }
    println!("without checksums: {files} of 40 damaged files had {rows} sessions that were not as written");
    assert!(files > 3);
}

/// The log as it may be found if its beginning was damaged; `None`: it is not there any more.
fn without_beginning(log: &[u8]) -> Vec<Option<Vec<u8>>> {
    let flipped = |at: usize| {
        let mut log = log.to_vec();
        log[at] ^= 16;
        Some(log)
    };
    let mut logs: Vec<_> = [0, 1, 31, 32, 56, 4_000, 4_151].map(|length| Some(log[..length].to_vec())).into();
    logs.extend([0, 3, 9, 17, 25, 33, 50, 1_000].map(flipped));
    logs.push(None);
    logs
}

/// Opens the image with that log: what it is said to lack, and how many sessions live that had ended.
async fn taken_up(image: &Image, log: Option<Vec<u8>>) -> (Option<Loss>, usize) {
    let folder = tempfile::tempdir().unwrap();
    let [data, _, mark] = image.files.clone();
    let image = Image { files: [data, log, mark], acknowledged: HashMap::new(), early_mark: Vec::new() };
    image.write(folder.path());
    let Ok(store) = SqliteStore::open(folder.path().join("a.db")) else { return (Some(Loss::Commits), 0) };
    let live = store.walk(None, usize::MAX, NOW).await.unwrap_or_default();
    (store.database().loss(), live.len())
}

#[tokio::test]
async fn a_log_that_is_lost_while_it_was_being_folded_is_noticed() {
    // R04: the data has the number of the last commit already, and not yet all that was done.
    let (mut image, early_mark) = Image::half_folded().await;
    let logs = without_beginning(image.files[1].as_ref().unwrap());
    for log in &logs {
        let what = log.as_ref().map(Vec::len);
        assert_eq!(taken_up(&image, log.clone()).await, (Some(Loss::Commits), 0), "{what:?}");
    }
    // A mark that does not say that the log was being folded: what had ended lives again.
    image.files[2] = Some(early_mark);
    let acknowledged = image.acknowledged.values().flatten().count();
    let mut found_out = 0;
    for log in logs {
        let (loss, live) = taken_up(&image, log).await;
        found_out += usize::from(loss.is_none() && live > acknowledged);
    }
    println!("without the note that the log is being folded: {found_out} of 16 lost logs revived sessions");
    assert_eq!(found_out, 16);
}

#[tokio::test]
async fn an_undamaged_file_is_taken_as_it_is() {
    let (half_folded, _) = Image::half_folded().await;
    for image in images().await.into_iter().chain([half_folded]) {
        let folder = tempfile::tempdir().unwrap();
        image.write(folder.path());
        let store = SqliteStore::open(folder.path().join("a.db")).unwrap();
        assert_eq!((store.database().loss(), store.damaged().unwrap()), (None, 0));
        for (id, record) in &image.acknowledged {
            assert_eq!(store.load(id, NOW).await.unwrap().as_deref(), record.as_ref());
        }
    }
}

#[tokio::test]
async fn a_loss_stays_until_it_is_accepted_and_ends_what_came_before() {
    let image = Image::new(Left::Log).await;
    let folder = tempfile::tempdir().unwrap();
    image.write(folder.path());
    let path = folder.path().join("a.db");
    let log = folder.path().join("a.db-wal");
    let length = fs::metadata(&log).unwrap().len();
    fs::File::options().write(true).open(&log).unwrap().set_len(length - 1).unwrap();
    for new in [session(SESSIONS + 1), session(SESSIONS + 2)] {
        let store = SqliteStore::open(&path).unwrap();
        assert_eq!(store.database().loss(), Some(Loss::Commits));
        assert_eq!(store.create(&new, 1_000).await.unwrap(), Created::Yes { ended: vec![] });
    }
    // Those that began since are live.
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.walk(None, usize::MAX, NOW).await.unwrap().len(), 2);
    // The others are in nobody's way: they are no part of a limit, and go with the next purge.
    let purged = store.purge(None, usize::MAX, NOW.plus(Duration::from_secs(1))).await.unwrap();
    assert!(purged.ended.len() > 50, "{}", purged.ended.len());
    assert!(matches!(exeunt::store::sqlite::Database::accept_loss(&path), Err(OpenError::Locked { .. })));
    drop(store);
    assert_eq!(exeunt::store::sqlite::Database::accept_loss(&path).unwrap(), Some(Loss::Commits));
    assert_eq!(exeunt::store::sqlite::Database::accept_loss(&path).unwrap(), None);
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.database().loss(), None);
    assert_eq!(store.walk(None, usize::MAX, NOW).await.unwrap(), []);
}
