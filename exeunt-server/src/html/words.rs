//! What is said elsewhere than on pages, in one language: as plain text.
//!
//! Must never be put into a page: nothing in it is escaped.

use std::path::Path;
use std::sync::Arc;

use fluent_bundle::{FluentArgs, FluentValue};

use super::texts::{Lang, Texts};
use super::{BrandError, Text};

/// The marks that Fluent puts around a value: they keep a page's text from turning, and would spoil what is copied from a
/// message.
const ISOLATES: [char; 2] = ['\u{2068}', '\u{2069}'];

/// The texts of a language. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Words {
    texts: Arc<Texts>,
    lang: Lang,
}

/// A value in a text.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Given<'a> {
    Text(&'a str),
    Number(u64),
}

impl Words {
    /// As for pages: those of the operator's folder on top, in the language that is spoken where nothing else is asked for.
    pub(crate) fn read(folder: Option<&Path>, language: &str) -> Result<Self, BrandError> {
        let texts = Arc::new(Texts::read(folder, language)?);
        let lang = texts.default_language();
        Ok(Self { texts, lang })
    }

    /// In the language of that tag, if there is such a one.
    pub(crate) fn in_language(&self, tag: Option<&str>) -> Self {
        let lang = tag.and_then(|tag| self.texts.find(tag)).unwrap_or(self.lang);
        Self { texts: Arc::clone(&self.texts), lang }
    }

    pub(crate) fn languages(&self) -> impl Iterator<Item = &str> {
        self.texts.languages()
    }

    /// The language tag.
    pub(crate) fn tag(&self) -> &str {
        self.texts.tag(self.lang)
    }

    /// `None`: there is no such text, or a value that it needs was not given.
    pub(crate) fn say(&self, Text(name): Text, given: &[(&'static str, Given<'_>)]) -> Option<String> {
        let mut args = FluentArgs::new();
        for (name, value) in given {
            args.set(
                *name,
                match value {
                    Given::Text(text) => FluentValue::from((*text).to_owned()),
                    Given::Number(number) => FluentValue::from(*number),
                },
            );
        }
        self.texts.say(self.lang, name, &args).map(|text| text.replace(ISOLATES, ""))
    }
}
