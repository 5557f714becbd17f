//! What pages and messages say, by language. A language is one file.

use std::fmt;
use std::path::{Path, PathBuf};

use axum::http::{HeaderMap, header};
use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource};
use fluent_syntax::ast::{Entry, Pattern};
use unic_langid::LanguageIdentifier;

use super::brand::{BrandError, files, read_text};

/// The first one is what is spoken where nothing is asked for, and where another language lacks a text.
const OURS: [(&str, &str); 2] =
    [("en", include_str!("../../texts/en.ftl")), ("de", include_str!("../../texts/de.ftl"))];

const RIGHT_TO_LEFT: [&str; 11] = ["ar", "arc", "ckb", "dv", "fa", "he", "ps", "sd", "ug", "ur", "yi"];

/// One of the languages that there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lang(usize);

/// All languages, and the one that is spoken where nothing else is asked for.
pub(super) struct Texts {
    languages: Vec<Language>,
    default: Lang,
}

struct Language {
    tag: String,
    bundle: FluentBundle<FluentResource>,
}

impl Texts {
    /// Ours, and those of an operator on top: `texts/TAG.ftl` changes single texts of a language, or adds one. `language`: what
    /// is spoken where nothing else is asked for; empty for English.
    pub(super) fn read(folder: Option<&Path>, language: &str) -> Result<Self, BrandError> {
        let mut all = Self { languages: Vec::new(), default: Lang::default() };
        for (tag, text) in OURS {
            all.add(tag, text, Path::new("texts").join(tag).with_extension("ftl"))?;
        }
        let given = folder.map(|folder| files(&folder.join("texts"))).transpose()?;
        for file in given.into_iter().flatten() {
            let tag =
                file.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".ftl"));
            let Some(tag) = tag.filter(|tag| tag.parse::<LanguageIdentifier>().is_ok()) else {
                let reason = "it is not named by a language, as `fr.ftl` is".to_owned();
                return Err(BrandError::Unusable { file, line: None, reason });
            };
            all.add(&tag.to_ascii_lowercase(), &read_text(&file)?, file.clone())?;
        }
        if !language.is_empty() {
            let known = all.languages().collect::<Vec<_>>().join(", ");
            let unknown = BrandError::NoSuchLanguage { language: language.to_owned(), known };
            all.default = all.find(language).ok_or(unknown)?;
        }
        Ok(all)
    }

    fn add(&mut self, tag: &str, text: &str, file: PathBuf) -> Result<(), BrandError> {
        let resource = parse(text, &file)?;
        if let Some(english) = self.languages.first() {
            for name in names(&resource) {
                if !english.bundle.has_message(&name) {
                    let line = text.lines().position(|line| line.starts_with(&name)).map(|at| at + 1);
                    let reason = format!("nothing says `{name}`");
                    return Err(BrandError::Unusable { file, line, reason });
                }
            }
        }
        if self.find(tag).is_none() {
            // A tag that cannot be read was refused, or is ours.
            let mut bundle = FluentBundle::new_concurrent(vec![tag.parse().unwrap_or_default()]);
            let (_, english) = OURS[0];
            bundle.add_resource_overriding(parse(english, &file)?);
            self.languages.push(Language { tag: tag.to_owned(), bundle });
        }
        if let Some(language) = self.languages.iter_mut().find(|language| language.tag == tag) {
            language.bundle.add_resource_overriding(resource);
        }
        Ok(())
    }

    /// What is asked for first among those that there are; the default otherwise (RFC 9110, section 12.5.4).
    pub(super) fn choose(&self, headers: &HeaderMap) -> Lang {
        let ranges =
            headers.get_all(header::ACCEPT_LANGUAGE).into_iter().filter_map(|value| value.to_str().ok());
        let mut wanted: Vec<(f32, Lang)> = Vec::new();
        for range in ranges.flat_map(|value| value.split(',')).take(32) {
            let mut parts = range.split(';').map(str::trim);
            let tag = parts.next().unwrap_or_default();
            let quality = parts.find_map(|part| part.strip_prefix("q=")).map_or(Ok(1.0), str::parse);
            let lang = self.find(&tag.to_ascii_lowercase()).or_else(|| self.find(primary(tag)));
            if let (Some(lang), Ok(quality)) = (lang, quality)
                && quality > 0.0
            {
                wanted.push((quality, lang));
            }
        }
        // Of those asked for alike the first one.
        let best = wanted.into_iter().reduce(|best, next| if next.0 > best.0 { next } else { best });
        best.map_or(self.default, |(_, lang)| lang)
    }

    pub(super) fn default_language(&self) -> Lang {
        self.default
    }

    pub(super) fn find(&self, tag: &str) -> Option<Lang> {
        self.languages.iter().position(|language| language.tag.eq_ignore_ascii_case(tag)).map(Lang)
    }

    pub(super) fn tag(&self, lang: Lang) -> &str {
        self.languages.get(lang.0).map_or("en", |language| &language.tag)
    }

    pub(super) fn languages(&self) -> impl Iterator<Item = &str> {
        self.languages.iter().map(|language| language.tag.as_str())
    }

    /// `None`: there is no such text, or a value that it needs was not given.
    pub(super) fn say(&self, lang: Lang, name: &str, args: &FluentArgs<'_>) -> Option<String> {
        let bundle = &self.languages.get(lang.0)?.bundle;
        let pattern = bundle.get_message(name)?.value()?;
        let mut errors = Vec::new();
        let text = bundle.format_pattern(pattern, Some(args), &mut errors).into_owned();
        errors.is_empty().then_some(text)
    }
}

impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.languages()).finish()
    }
}

pub(super) fn is_right_to_left(tag: &str) -> bool {
    RIGHT_TO_LEFT.contains(&primary(tag))
}

fn primary(tag: &str) -> &str {
    tag.split(['-', '_']).next().unwrap_or_default()
}

fn parse(text: &str, file: &Path) -> Result<FluentResource, BrandError> {
    FluentResource::try_new(text.to_owned()).map_err(|(_, errors)| {
        let first = errors.first();
        let line = first
            .and_then(|error| text.get(..error.pos.start))
            .map(|before| before.matches('\n').count() + 1);
        let reason = first.map_or_else(|| "it cannot be read".to_owned(), ToString::to_string);
        BrandError::Unusable { file: file.to_owned(), line, reason }
    })
}

fn names(resource: &FluentResource) -> Vec<String> {
    let named = |entry: &Entry<&str>| match entry {
        Entry::Message(message) if message.value.as_ref().is_some_and(is_something) => {
            Some(message.id.name.to_owned())
        }
        _ => None,
    };
    resource.entries().filter_map(named).collect()
}

fn is_something(pattern: &Pattern<&str>) -> bool {
    !pattern.elements.is_empty()
}
