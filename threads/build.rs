//! Copies the store ring with the checker's locks, threads and channels in place of the real ones: once as it is, and
//! once with each fault that the checks have to find.
//!
//! Must never check something else than what ships: nothing but what is listed here differs, and an entry that finds
//! nothing to replace is an error.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

const STORE: &str = "../exeunt/src/store";
const SESSION: &str = "../exeunt/src/session";
const CHECKS: &str = "src/checks.rs";

/// What the ring names, and what stands in for it.
const STAND_INS: &[(&str, &str)] = &[
    ("std::sync::", "crate::stand_in::sync::"),
    ("std::thread::", "crate::stand_in::thread::"),
    ("tokio::sync::", "crate::stand_in::channels::"),
    ("tokio::time::", "crate::stand_in::time::"),
];
/// What would go past the checker, or hide from the list above.
const NOT_LEFT: &[&str] = &["std::sync", "std::thread", "std::{", "tokio::"];

/// A text that is there so many times, and what is there instead.
struct Edit {
    file: &'static str,
    from: &'static str,
    to: &'static str,
    times: usize,
}

const NEAR: &str = "near.rs";
const SQLITE: &str = "sqlite.rs";
const DATABASE: &str = "sqlite/database.rs";
const WRITER: &str = "sqlite/database/writer.rs";

/// Bounds that a few steps are to reach: a batch that is full, a log that is long.
const SMALL: &[Edit] = &[
    Edit { file: WRITER, from: "const BATCH: usize = 512;", to: "const BATCH: usize = 3;", times: 1 },
    Edit {
        file: WRITER,
        from: "const CHECKPOINT_AT: i32 = 16 * 1024;",
        to: "const CHECKPOINT_AT: i32 = 2;",
        times: 1,
    },
];

struct Fault {
    name: &'static str,
    doc: &'static str,
    edits: &'static [Edit],
}

const FAULTS: &[Fault] = &[
    Fault {
        name: "cache_not_told",
        doc: "No change moves an epoch: a reader cannot know that what it has read is old.",
        edits: &[Edit { file: NEAR, from: "shard.epoch += 1;", to: "", times: 2 }],
    },
    Fault {
        name: "cache_told_late",
        doc: "The cache hears of a change only after COMMIT: some are told that a session is gone, others get it.",
        edits: &[Edit {
            file: WRITER,
            from: "self.announce(&changed, Watcher::changing);",
            to: "",
            times: 1,
        }],
    },
    Fault {
        name: "answers_before_commit",
        doc: "The writer answers, and commits then.",
        edits: &[
            Edit {
                file: WRITER,
                from: "prepare_cached(\"COMMIT\")",
                to: "prepare_cached(\"SAVEPOINT early\")",
                times: 1,
            },
            Edit {
                file: WRITER,
                from: "self.keep_log_short();",
                to: "drop(self.tx.execute_batch(\"COMMIT\")); self.keep_log_short();",
                times: 1,
            },
        ],
    },
    Fault {
        name: "failed_commit_acknowledged",
        doc: "The writer says yes to everybody, whatever COMMIT said.",
        edits: &[Edit {
            file: WRITER,
            from: "let result = self.commit(&mut batch);",
            to: "let result = self.commit(&mut batch).or(Ok(()));",
            times: 1,
        }],
    },
    Fault {
        name: "change_never_over",
        doc: "The cache is not told when a change is over, and keeps nothing of the session for ever.",
        edits: &[Edit { file: WRITER, from: "self.announce(&changed, Watcher::changed);", to: "", times: 1 }],
    },
    Fault {
        name: "ends_not_announced",
        doc: "The store does not say which sessions its steps end or change.",
        edits: &[Edit { file: SQLITE, from: "tx.announce(id);", to: "let _ = (tx, id);", times: 3 }],
    },
    Fault {
        name: "shutdown_drops_the_queue",
        doc: "The writer ends at a shutdown without looking at what waits.",
        edits: &[Edit {
            file: WRITER,
            from: "while let Some(first) = jobs.blocking_recv()",
            to: "while let Some(first) = jobs.blocking_recv() && !jobs.is_closed()",
            times: 1,
        }],
    },
    Fault {
        name: "shutdown_forgets_the_queue",
        doc: "As before, and whoever waits is not even told that nobody will answer.",
        edits: &[Edit {
            file: WRITER,
            from: "let mut bytes = first.bytes();",
            to: "if jobs.is_closed() { std::mem::forget(first); continue } let mut bytes = first.bytes();",
            times: 1,
        }],
    },
    Fault {
        name: "writer_waits_for_itself",
        doc: "The last handle waits for the writer on the writer itself.",
        edits: &[Edit {
            file: WRITER,
            from: "std::thread::current().id() == self.writer",
            to: "false",
            times: 1,
        }],
    },
    Fault {
        name: "shutdown_leaves_the_queue_open",
        doc: "The last handle waits for a writer to which it has not said that this is the end.",
        edits: &[Edit {
            file: DATABASE,
            from: "drop(self.queue.get_mut().unwrap_or_else(PoisonError::into_inner).take());",
            to: "",
            times: 1,
        }],
    },
];

fn main() -> Result<(), Box<dyn Error>> {
    let own = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    println!("cargo::rerun-if-changed=build.rs");
    // The ring asks for the features of its own crate.
    println!("cargo::rustc-check-cfg=cfg(feature, values(\"laws\", \"postgres\", \"redis\", \"sqlite\"))");
    println!("cargo::rustc-cfg=feature=\"sqlite\"");

    let mut root = String::new();
    let session = Ring::read(&own.join(SESSION))?;
    module(&mut root, "session", "The ring `session`, as it is.", &session.write(&out.join("session"))?)?;
    let mut store = Ring::read(&own.join(STORE))?;
    store.edit(SMALL)?;
    let real = store.with(&[])?.write(&out.join("store"))?;
    module(&mut root, "store", "The ring `store`, under the checker.", &real)?;
    println!("cargo::rerun-if-changed={CHECKS}");
    for Fault { name, doc, edits } in FAULTS {
        let faulty = store.with(edits).map_err(|error| format!("the fault `{name}`: {error}"))?;
        writeln!(root, "/// {doc}\npub mod {name} {{")?;
        module(&mut root, "store", "With the fault.", &faulty.write(&out.join(name))?)?;
        let checks = out.join(name).join("checks.rs");
        fs::copy(own.join(CHECKS), &checks)?;
        module(&mut root, "checks", "The checks, of this store.", &checks)?;
        writeln!(root, "}}")?;
    }
    Ok(fs::write(out.join("rings.rs"), root)?)
}

fn module(root: &mut String, name: &str, doc: &str, path: &Path) -> std::fmt::Result {
    writeln!(root, "#[path = {path:?}]\n/// {doc}\npub mod {name};")
}

/// The files of a ring: their names within its folder, and their texts without tests.
#[derive(Clone)]
struct Ring(Vec<(String, String)>);

impl Ring {
    fn read(folder: &Path) -> Result<Self, Box<dyn Error>> {
        let root = folder.with_extension("rs");
        println!("cargo::rerun-if-changed={}", root.display());
        println!("cargo::rerun-if-changed={}", folder.display());
        let mut ring = Self(vec![("mod.rs".to_owned(), without_tests(&root)?)]);
        ring.read_folder(folder, "")?;
        Ok(ring)
    }

    fn read_folder(&mut self, folder: &Path, within: &str) -> Result<(), Box<dyn Error>> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).ok_or("a name that is not UTF-8")?;
            let name = format!("{within}{name}");
            if path.is_dir() {
                self.read_folder(&path, &format!("{name}/"))?;
            } else {
                self.0.push((name, without_tests(&path)?));
            }
        }
        Ok(())
    }

    fn edit(&mut self, edits: &[Edit]) -> Result<(), Box<dyn Error>> {
        for Edit { file, from, to, times } in edits {
            let found = self.0.iter_mut().find(|(name, _)| name == file);
            let (_, text) = found.ok_or_else(|| format!("there is no {file}"))?;
            let there = text.matches(from).count();
            if there != *times {
                return Err(format!("{file}: {from:?} is there {there} times and not {times}").into());
            }
            *text = text.replace(from, to);
        }
        Ok(())
    }

    /// With these edits, and with all stand-ins.
    fn with(&self, edits: &[Edit]) -> Result<Self, Box<dyn Error>> {
        let mut ring = self.clone();
        ring.edit(edits)?;
        // Only what the feature `sqlite` takes is built.
        ring.0.retain(|(name, _)| !["laws", "postgres", "redis"].iter().any(|other| name.starts_with(other)));
        for (name, text) in &mut ring.0 {
            for (from, to) in STAND_INS {
                *text = text.replace(from, to);
            }
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            for line in code {
                if NOT_LEFT.iter().any(|word| line.contains(word)) {
                    return Err(format!("{name}: the checker would not see {line:?}").into());
                }
            }
        }
        Ok(ring)
    }

    /// Gives the path of its root.
    fn write(&self, folder: &Path) -> std::io::Result<PathBuf> {
        for (name, text) in &self.0 {
            let path = folder.join(name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(path, text)?;
        }
        Ok(folder.join("mod.rs"))
    }
}

fn without_tests(path: &Path) -> Result<String, Box<dyn Error>> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let code = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
    Ok(format!("{code}\n"))
}
