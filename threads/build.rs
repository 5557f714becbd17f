//! Copies the store ring with the checker's locks, threads and channels in place of the real ones: once as it is, and
//! once with the faults that the checks have to find, of which a test chooses one.
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

/// What the code does if it has the fault of that name, instead of what it does.
struct Fault {
    name: &'static str,
    edits: &'static [Edit],
}

const FAULTS: &[Fault] = &[
    // No change moves an epoch: a reader cannot know that what it has read is old.
    Fault {
        name: "cache not told",
        edits: &[Edit { file: NEAR, from: "self.epoch += 1;", to: "", times: 1 }],
    },
    // The cache hears of a change only after COMMIT: some are told that a session is gone, others get it.
    Fault {
        name: "cache told late",
        edits: &[Edit {
            file: WRITER,
            from: "self.announce(&changed, Watcher::changing);",
            to: "",
            times: 1,
        }],
    },
    // It is not told when a change is over, and keeps nothing of the session for ever.
    Fault {
        name: "change never over",
        edits: &[Edit { file: WRITER, from: "self.announce(&changed, Watcher::changed);", to: "", times: 1 }],
    },
    // The store does not say which sessions its steps end or change.
    Fault {
        name: "ends not announced",
        edits: &[Edit { file: SQLITE, from: "tx.announce(id);", to: "", times: 3 }],
    },
    // The writer answers, and commits then.
    Fault {
        name: "answers before COMMIT",
        edits: &[
            Edit { file: WRITER, from: "\"COMMIT\"", to: "\"SAVEPOINT early\"", times: 1 },
            Edit {
                file: WRITER,
                from: "self.keep_log_short();",
                to: "drop(self.tx.execute_batch(\"COMMIT\")); self.keep_log_short();",
                times: 1,
            },
        ],
    },
    // It says yes to everybody, whatever COMMIT said.
    Fault {
        name: "failed COMMIT acknowledged",
        edits: &[Edit {
            file: WRITER,
            from: "self.commit(&mut batch)",
            to: "self.commit(&mut batch).or(Ok(()))",
            times: 1,
        }],
    },
    // It ends at a shutdown without looking at what waits.
    Fault {
        name: "shutdown drops the queue",
        edits: &[Edit {
            file: WRITER,
            from: "jobs.blocking_recv()",
            to: "jobs.blocking_recv().filter(|_| !jobs.is_closed())",
            times: 1,
        }],
    },
    // As before, and whoever waits is not even told that nobody will answer.
    Fault {
        name: "shutdown forgets the queue",
        edits: &[Edit {
            file: WRITER,
            from: "first.bytes()",
            to: "if jobs.is_closed() { std::mem::forget(first); continue } first.bytes()",
            times: 1,
        }],
    },
    // The last handle waits for a writer to which it has not said that this is the end.
    Fault {
        name: "shutdown leaves the queue open",
        edits: &[Edit {
            file: DATABASE,
            from: "drop(self.queue.get_mut().unwrap_or_else(PoisonError::into_inner).take());",
            to: "",
            times: 1,
        }],
    },
    // The last handle waits for the writer on the writer itself.
    Fault {
        name: "writer waits for itself",
        edits: &[Edit {
            file: WRITER,
            from: "std::thread::current().id() == self.writer",
            to: "false",
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
    for edit in SMALL {
        store.edit(edit, edit.to)?;
    }
    let mut faulty = store.clone();
    for Fault { name, edits } in FAULTS {
        for edit in *edits {
            let either = format!("if crate::fault::is({name:?}) {{ {} }} else {{ {} }}", edit.to, edit.from);
            faulty.edit(edit, &either).map_err(|error| format!("the fault {name:?}: {error}"))?;
        }
    }
    store.stand_in()?;
    faulty.stand_in()?;
    module(&mut root, "store", "The ring `store`, under the checker.", &store.write(&out.join("store"))?)?;
    let checks = out.join("checks.rs");
    println!("cargo::rerun-if-changed={CHECKS}");
    fs::copy(own.join(CHECKS), &checks)?;
    writeln!(root, "/// The ring `store` with faults, and the checks of that.\npub mod faulty {{")?;
    module(&mut root, "store", "With faults.", &faulty.write(&out.join("faulty"))?)?;
    module(&mut root, "checks", "The checks, of this store.", &checks)?;
    writeln!(root, "}}")?;
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

    fn edit(&mut self, edit: &Edit, to: &str) -> Result<(), Box<dyn Error>> {
        let Edit { file, from, times, .. } = edit;
        let found = self.0.iter_mut().find(|(name, _)| name == file);
        let (_, text) = found.ok_or_else(|| format!("there is no {file}"))?;
        let there = text.matches(from).count();
        if there != *times {
            let change = "change threads/build.rs with the code";
            return Err(format!("{file}: {from:?} is there {there} times and not {times}: {change}").into());
        }
        *text = text.replace(from, to);
        Ok(())
    }

    /// What is left of it is built with the feature `sqlite` alone, and with all stand-ins.
    fn stand_in(&mut self) -> Result<(), Box<dyn Error>> {
        self.0.retain(|(name, _)| !["laws", "postgres", "redis"].iter().any(|other| name.starts_with(other)));
        for (name, text) in &mut self.0 {
            for (from, to) in STAND_INS {
                *text = text.replace(from, to);
            }
            let mut code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            if let Some(line) = code.find(|line| NOT_LEFT.iter().any(|word| line.contains(word))) {
                return Err(format!("{name}: the checker would not see {line:?}").into());
            }
        }
        Ok(())
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
