//! Reads a Rust file as far as tidy needs: which module it is, what it names, what it declares.
//!
//! Must never read tests: `#[cfg(test)]` items are left out, they may know anybody.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};

/// One file, tests aside.
#[derive(Debug, Default)]
pub(super) struct Source {
    pub(super) path: String,
    /// Its module below the crate root: `["store", "near"]`; empty for lib.rs and main.rs.
    pub(super) module: Vec<String>,
    /// The text of its `//!` lines.
    pub(super) doc: String,
    /// The paths that it names, in `use` and in the code.
    pub(super) mentions: Vec<Mention>,
    /// The names that it gives: functions, types, modules, fields, variables.
    pub(super) declared: Vec<(usize, String)>,
    /// The first name of each path in the code: `ErrorKind` for `ErrorKind::Store`.
    pub(super) heads: Vec<(usize, String)>,
    /// Lines that hold code.
    pub(super) lines_of_code: usize,
}

/// A path that a file names, as written.
#[derive(Clone, Debug)]
pub(super) struct Mention {
    pub(super) line: usize,
    /// The module in which it stands: the file's, or one written inside of it.
    module: Vec<String>,
    path: Vec<String>,
    exported_as: Option<String>,
}

impl Mention {
    /// Whether this stands in the path as written.
    pub(super) fn contains(&self, part: &str) -> bool {
        format!("::{}::", self.path.join("::")).contains(&format!("::{part}::"))
    }
}

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Something of ours: the longest known module on the way, and the whole path.
    Ours { module: Vec<String>, path: Vec<String> },
    /// Another crate, or a name in scope.
    Other(String),
}

impl Source {
    /// Reads the file at `within` the package's `src`.
    pub(super) fn parse(package: &str, within: &str, text: &str) -> Result<Self> {
        let path = format!("{package}/src/{within}");
        let stream: TokenStream =
            text.parse().map_err(|error| anyhow!("{error}")).with_context(|| path.clone())?;
        let doc = text.lines().filter_map(|line| line.strip_prefix("//!")).collect::<Vec<_>>().join("\n");
        let source = Self { path, module: module_of(within), doc, ..Self::default() };
        let mut reader = Reader { source, lines: BTreeSet::new() };
        let module = reader.source.module.clone();
        reader.items(stream, &module);
        reader.source.lines_of_code = reader.lines.len();
        Ok(reader.source)
    }
}

fn module_of(within: &str) -> Vec<String> {
    let stem = within.strip_suffix(".rs").unwrap_or(within);
    let stem = stem.strip_suffix("/mod").unwrap_or(stem);
    if ["lib", "main"].contains(&stem) {
        return Vec::new();
    }
    stem.split('/').map(str::to_owned).collect()
}

/// The files of one crate.
#[derive(Debug, Default)]
pub(super) struct Tree {
    sources: Vec<Source>,
    modules: BTreeSet<Vec<String>>,
    /// What `pub use` makes reachable under another path, and where it leads.
    exports: BTreeMap<Vec<String>, Mention>,
}

impl Tree {
    pub(super) fn add(&mut self, source: Source) {
        self.modules.insert(source.module.clone());
        for mention in &source.mentions {
            if let Some(name) = &mention.exported_as {
                let alias = [mention.module.clone(), vec![name.clone()]].concat();
                self.exports.insert(alias, mention.clone());
            }
        }
        self.sources.push(source);
    }

    pub(super) fn sources(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter()
    }

    /// Follows a mention, through re-exports, to the module that has the thing.
    pub(super) fn target(&self, mention: &Mention) -> Target {
        let Some(mut path) = self.ours(mention) else {
            return Target::Other(mention.path.first().cloned().unwrap_or_default());
        };
        // Re-exports of re-exports are short chains; a limit keeps a circle from being followed for ever.
        for _ in 0..8 {
            let prefix = (1..=path.len()).rev().find_map(|end| {
                let alias = path.get(..end)?;
                Some((end, self.exports.get(alias)?))
            });
            let Some((end, export)) = prefix else { break };
            let Some(mut whole) = self.ours(export) else { break };
            whole.extend(path.iter().skip(end).cloned());
            if whole == path {
                break;
            }
            path = whole;
        }
        let known = (0..=path.len()).rev().filter_map(|end| path.get(..end));
        let module =
            known.map(<[_]>::to_vec).find(|module| self.modules.contains(module)).unwrap_or_default();
        Target::Ours { module, path }
    }

    /// The path from the crate root, if it stays within the crate.
    fn ours(&self, mention: &Mention) -> Option<Vec<String>> {
        let mut path = mention.path.iter();
        let mut found = match path.next()?.as_str() {
            "crate" => Vec::new(),
            "self" => mention.module.clone(),
            "super" => parent(&mention.module),
            first => {
                let child = [mention.module.clone(), vec![first.to_owned()]].concat();
                if !self.modules.contains(&child) {
                    return None;
                }
                child
            }
        };
        for name in path {
            if name == "super" {
                found = parent(&found);
            } else {
                found.push(name.clone());
            }
        }
        Some(found)
    }
}

fn parent(module: &[String]) -> Vec<String> {
    module.split_last().map(|(_, parent)| parent.to_vec()).unwrap_or_default()
}

/// Every `.rs` file in a folder and below, in order.
pub(super) fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

struct Reader {
    source: Source,
    lines: BTreeSet<usize>,
}

impl Reader {
    fn items(&mut self, stream: TokenStream, module: &[String]) {
        let tokens: Vec<TokenTree> = stream.into_iter().collect();
        let mut rest = tokens.as_slice();
        while let Some((first, after)) = rest.split_first() {
            rest = match first {
                TokenTree::Punct(punct) if punct.as_char() == '#' => self.attribute(after, module),
                TokenTree::Group(group) => {
                    self.group(group, module);
                    after
                }
                TokenTree::Ident(ident) => self.word(ident, &tokens, rest, module),
                other => {
                    self.line(other);
                    after
                }
            };
        }
    }

    fn line(&mut self, token: &TokenTree) {
        self.lines.insert(token.span().start().line);
        self.lines.insert(token.span().end().line);
    }

    fn group(&mut self, group: &Group, module: &[String]) {
        self.lines.insert(group.span_open().start().line);
        self.lines.insert(group.span_close().start().line);
        self.items(group.stream(), module);
    }

    /// Goes on after an attribute, and after the item too where it is for tests alone.
    fn attribute<'a>(&mut self, after: &'a [TokenTree], module: &[String]) -> &'a [TokenTree] {
        let bang = matches!(after.first(), Some(TokenTree::Punct(punct)) if punct.as_char() == '!');
        let rest = after.get(usize::from(bang)..).unwrap_or_default();
        let Some((TokenTree::Group(group), rest)) = rest.split_first() else { return after };
        let words: Vec<String> = group.stream().into_iter().flat_map(words_of).collect();
        let first = words.first().map(String::as_str);
        if first == Some("doc") {
            return rest;
        }
        let has = |word: &str| words.iter().any(|found| found == word);
        if first == Some("cfg") && has("test") && !has("not") {
            return after_item(rest);
        }
        self.group(group, module);
        rest
    }

    fn word<'a>(
        &mut self,
        ident: &Ident,
        all: &[TokenTree],
        rest: &'a [TokenTree],
        module: &[String],
    ) -> &'a [TokenTree] {
        let after = rest.get(1..).unwrap_or_default();
        let line = ident.span().start().line;
        self.lines.insert(line);
        match ident.to_string().as_str() {
            "use" => return self.import(all, rest, module),
            // What a macro's text names is named by whoever calls it.
            "macro_rules" => return after_item(after),
            "mod" => {
                if let (Some(TokenTree::Ident(name)), Some(TokenTree::Group(body))) =
                    (after.first(), after.get(1))
                {
                    self.declare(name);
                    let inner = [module.to_vec(), vec![name.to_string()]].concat();
                    self.group(body, &inner);
                    return after.get(2..).unwrap_or_default();
                }
                self.declare_next(after);
            }
            "enum" => {
                self.declare_next(after);
                self.variants(after);
            }
            "fn" | "struct" | "trait" | "type" | "const" | "static" | "let" | "mut" => {
                self.declare_next(after)
            }
            _ if is_single_colon(after) => self.declare(ident),
            _ => (),
        }
        let (path, after) = path(rest);
        self.source.heads.extend(path.first().cloned());
        if path.len() > 1 {
            let path = path.into_iter().map(|(_, name)| name).collect();
            self.source.mentions.push(Mention { line, module: module.to_vec(), path, exported_as: None });
        }
        after
    }

    fn declare(&mut self, name: &Ident) {
        let declared = (name.span().start().line, name.to_string());
        // `const A: u8` is met at the `const` and at the colon.
        if self.source.declared.last() != Some(&declared) {
            self.source.declared.push(declared);
        }
    }

    fn declare_next(&mut self, after: &[TokenTree]) {
        if let Some(TokenTree::Ident(name)) = after.first()
            && name != "mut"
            && name != "fn"
        {
            self.declare(name);
        }
    }

    fn variants(&mut self, after: &[TokenTree]) {
        let body = after.iter().find_map(|token| match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(group.stream()),
            _ => None,
        });
        for token in body.into_iter().flatten() {
            if let TokenTree::Ident(name) = token {
                self.declare(&name);
            }
        }
    }

    fn import<'a>(&mut self, all: &[TokenTree], rest: &'a [TokenTree], module: &[String]) -> &'a [TokenTree] {
        let before = all.get(..all.len() - rest.len()).unwrap_or_default();
        let exported = match before {
            [.., TokenTree::Ident(word)] => word == "pub",
            [.., TokenTree::Ident(word), TokenTree::Group(_)] => word == "pub",
            _ => false,
        };
        let is_end = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ';');
        let end = rest.iter().position(is_end).unwrap_or(rest.len());
        let tree = rest.get(1..end).unwrap_or_default();
        tree.iter().for_each(|token| self.lines_within(token));
        let mut found = Vec::new();
        leaves(&[], tree, &mut found);
        for (line, path, name) in found {
            let exported_as = exported.then_some(name);
            self.source.mentions.push(Mention { line, module: module.to_vec(), path, exported_as });
        }
        rest.get(end + 1..).unwrap_or_default()
    }

    fn lines_within(&mut self, token: &TokenTree) {
        self.line(token);
        if let TokenTree::Group(group) = token {
            group.stream().into_iter().for_each(|token| self.lines_within(&token));
        }
    }
}

/// The paths that a `use` brings in, each with the name it gets here.
fn leaves(prefix: &[String], tree: &[TokenTree], found: &mut Vec<(usize, Vec<String>, String)>) {
    let mut path = prefix.to_vec();
    let mut line = 0;
    let mut name = None;
    let mut tokens = tree.iter();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Ident(word) if word == "as" => name = tokens.next().map(ToString::to_string),
            TokenTree::Ident(word) => {
                line = word.span().start().line;
                // `{self, ..}` is the path itself.
                if word != "self" || path.is_empty() {
                    path.push(word.to_string());
                }
            }
            TokenTree::Punct(punct) if punct.as_char() == '*' => {
                line = punct.span().start().line;
                path.push("*".to_owned());
            }
            TokenTree::Group(group) => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                let is_comma =
                    |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',');
                for branch in inner.split(is_comma).filter(|branch| !branch.is_empty()) {
                    leaves(&path, branch, found);
                }
                return;
            }
            _ => (),
        }
    }
    let name = name.or_else(|| path.last().cloned()).unwrap_or_default();
    found.push((line, path, name));
}

/// The path at the start of `tokens`, and what follows it.
fn path(tokens: &[TokenTree]) -> (Vec<(usize, String)>, &[TokenTree]) {
    let mut names = Vec::new();
    let mut rest = tokens;
    while let Some((TokenTree::Ident(ident), after)) = rest.split_first() {
        names.push((ident.span().start().line, ident.to_string()));
        rest = after;
        match after {
            [TokenTree::Punct(one), TokenTree::Punct(two), TokenTree::Ident(_), ..]
                if one.as_char() == ':' && two.as_char() == ':' =>
            {
                rest = after.get(2..).unwrap_or_default();
            }
            _ => break,
        }
    }
    (names, rest)
}

fn is_single_colon(after: &[TokenTree]) -> bool {
    let is_colon =
        |at: usize| matches!(after.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
    is_colon(0) && !is_colon(1)
}

/// What follows the item at the start of `tokens`, further attributes of it included.
fn after_item(tokens: &[TokenTree]) -> &[TokenTree] {
    let ends = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        TokenTree::Punct(punct) => punct.as_char() == ';',
        _ => false,
    };
    // In `use a::{b, c};` the braces are not the end.
    let first = tokens.iter().find_map(|token| match token {
        TokenTree::Ident(word) if word != "pub" => Some(word.to_string()),
        _ => None,
    });
    let only_semicolon = first.as_deref() == Some("use");
    let end = tokens.iter().position(|token| match token {
        TokenTree::Group(_) => !only_semicolon && ends(token),
        _ => ends(token),
    });
    end.and_then(|end| tokens.get(end + 1..)).unwrap_or_default()
}

fn words_of(token: TokenTree) -> Vec<String> {
    match token {
        TokenTree::Ident(word) => vec![word.to_string()],
        TokenTree::Group(group) => group.stream().into_iter().flat_map(words_of).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(files: &[(&str, &str)], of: &str) -> Vec<String> {
        let mut tree = Tree::default();
        for (within, text) in files {
            tree.add(Source::parse("exeunt", within, text).unwrap());
        }
        let source = tree.sources().find(|source| source.path.ends_with(of)).unwrap();
        let shown = source.mentions.iter().map(|mention| match tree.target(mention) {
            Target::Ours { module, path } => format!("{}: {}", module.join("::"), path.join("::")),
            Target::Other(name) => format!("other {name}"),
        });
        shown.collect()
    }

    const TREE: &[(&str, &str)] = &[
        ("lib.rs", "pub mod store; pub use store::MemoryStore;"),
        (
            "store.rs",
            "mod memory; mod near; pub use self::memory::MemoryStore; pub(crate) use near::Near as N;",
        ),
        ("store/memory.rs", "pub struct MemoryStore;"),
    ];

    fn near(text: &str) -> Vec<String> {
        targets(&[TREE, &[("store/near.rs", text)]].concat(), "near.rs")
    }

    #[test]
    fn every_way_to_name_a_module_leads_to_it() {
        for text in [
            "use crate::store::memory::MemoryStore;",
            "use super::memory::MemoryStore;",
            "use super::{memory::MemoryStore};",
            "use super::MemoryStore;",
            "use crate::MemoryStore as M;",
            "fn f() { super::super::store::memory::MemoryStore::new(); }",
            "m!(crate::store::MemoryStore);",
            "fn f(x: Vec<crate::store::memory::MemoryStore>) {}",
        ] {
            let found = near(text);
            assert!(found.iter().any(|found| found.starts_with("store::memory: ")), "{text}: {found:?}");
        }
    }

    #[test]
    fn other_crates_and_deeper_imports_are_told_apart() {
        assert_eq!(near("use tokio::{sync::mpsc, time as t};"), ["other tokio", "other tokio"]);
        assert_eq!(near("use crate::store::{self, Store};"), ["store: store", "store: store::Store"]);
        assert_eq!(near("use super::*;"), ["store: store::*"]);
        assert_eq!(near("mod inner { use super::Slot; }"), ["store::near: store::near::Slot"]);
        assert_eq!(near("pub(crate) fn f() { ::http::get() }"), ["other http"]);
    }

    #[test]
    fn tests_comments_and_texts_are_not_read() {
        let text = "//! Doc of crate::a.\n/// crate::b::c\n// crate::d::e\nfn f() { g(\"crate::h::i\") }\n\
                    #[cfg(test)]\n#[allow(x)]\nmod tests { use crate::j::k; }\n#[cfg(test)] use crate::{l, m::n};\n";
        assert_eq!(near(text), [""; 0]);
        assert_eq!(near("#[cfg(not(test))] use crate::o::p;").len(), 1);
        assert_eq!(near("macro_rules! m { () => { use super::*; } } use crate::o::p;").len(), 1);
    }

    #[test]
    fn declared_names_and_lines_are_read() {
        let text = "struct A { b: u8 }\nfn c(d: u8) { let mut e = 1; }\nenum F { G, H(u8) }\n\n// x\n";
        let source = Source::parse("exeunt", "store/near.rs", text).unwrap();
        let names: Vec<_> = source.declared.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, ["A", "b", "c", "d", "e", "F", "G", "H"]);
        assert_eq!((source.lines_of_code, source.module.join("::")), (3, "store::near".to_owned()));
    }
}
