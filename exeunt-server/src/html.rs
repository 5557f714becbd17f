//! Makes pages: templates, texts in the reader's language, and how it all looks.
//!
//! Must never put anything into a page unescaped, nor begin to serve with a template or a text that is broken.

mod accent;
mod brand;
mod engine;
mod texts;
mod words;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use exeunt::http::problem;
use exeunt::store::Causes;
use minijinja::value::Serde;
use minijinja::{Environment, Value, context};
use serde::Serialize;

use self::brand::Look;
pub(crate) use self::brand::SCRIPT;
pub use self::brand::{Brand, BrandError, Link};
pub(crate) use self::engine::standing_alone;
use self::texts::{Lang, Texts};
pub(crate) use self::words::{Given, Words};

/// Changes with every release, so that browsers fetch what belongs to it.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What every page is made of. Read once, at start.
#[derive(Debug)]
pub struct Pages {
    engine: Environment<'static>,
    texts: Arc<Texts>,
    look: Look,
    folder: Option<PathBuf>,
}

impl Pages {
    /// The pages of this project, in that look.
    ///
    /// # Errors
    ///
    /// [`BrandError`]: which file cannot be used, where in it, and why.
    pub fn new(brand: &Brand) -> Result<Self, BrandError> {
        let look = Look::read(brand)?;
        let texts = Arc::new(Texts::read(brand.folder.as_deref(), &brand.language)?);
        let engine = engine::build(Arc::clone(&texts), brand.folder.as_deref())?;
        Ok(Self { engine, texts, look, folder: brand.folder.clone() })
    }

    pub(crate) fn style(&self) -> &str {
        &self.look.style
    }

    /// Its type, and its bytes.
    pub(crate) fn logo(&self) -> (&'static str, &[u8]) {
        (self.look.logo_type, &self.look.logo)
    }

    /// Where a template was read from.
    pub(crate) fn file_of(&self, name: &str) -> PathBuf {
        let given = self.folder.as_deref().map(|folder| folder.join("templates").join(name));
        given.filter(|file| file.exists()).unwrap_or_else(|| Path::new("templates").join(name))
    }

    /// The language tags that there are texts in.
    pub(crate) fn languages(&self) -> impl Iterator<Item = &str> {
        self.texts.languages()
    }

    /// The tag of the language that whoever sent these headers reads best.
    pub(crate) fn language_for(&self, headers: &HeaderMap) -> &str {
        self.texts.tag(self.texts.choose(headers))
    }

    fn render(
        &self,
        lang: Lang,
        name: &str,
        around: &Around<'_>,
        page: Value,
    ) -> Result<String, minijinja::Error> {
        let tag = self.texts.tag(lang);
        let around = context! {
            lang => tag,
            dir => if texts::is_right_to_left(tag) { "rtl" } else { "ltr" },
            brand => Value::from(Serde(&self.look.shown)),
            who => around.who,
            admin => around.admin,
            form => around.form,
            here => around.here,
        };
        self.engine.get_template(name)?.render(context! { ..page, ..around })
    }
}

/// What stands around a page's own content.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Around<'a> {
    /// Whose session it is, if that is known: they can log out here too (R21).
    pub(crate) who: Option<&'a str>,
    /// Whether there is a way to the administrators' pages.
    pub(crate) admin: bool,
    /// What each form of the page sends along (R53).
    pub(crate) form: Option<&'a str>,
    /// The path of the page among those that the navigation names.
    pub(crate) here: &'static str,
}

/// Makes the pages of one request, in the language of whoever asks.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pages: Arc<Pages>,
    lang: Lang,
}

impl Page {
    pub(crate) fn of(pages: &Arc<Pages>, headers: &HeaderMap) -> Self {
        Self { pages: Arc::clone(pages), lang: pages.texts.choose(headers) }
    }

    /// In that language, whoever asks.
    pub(crate) fn in_language(pages: &Arc<Pages>, tag: &str) -> Self {
        Self { pages: Arc::clone(pages), lang: pages.texts.find(tag).unwrap_or_default() }
    }

    pub(crate) fn show(
        &self,
        status: StatusCode,
        name: &str,
        around: Around<'_>,
        page: &impl Serialize,
    ) -> Response {
        match self.try_show(name, around, Value::from(Serde(page))) {
            Ok(html) => {
                let tag = HeaderValue::try_from(self.pages.texts.tag(self.lang));
                let language = tag.map(|tag| [(header::CONTENT_LANGUAGE, tag)]).ok();
                (
                    status,
                    language.unwrap_or([(header::CONTENT_LANGUAGE, HeaderValue::from_static("en"))]),
                    Html(html),
                )
                    .into_response()
            }
            Err(cause) => {
                tracing::error!(event = "page_failed", template = name, error = %Causes(&cause), "page not rendered");
                problem(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong")
            }
        }
    }

    pub(crate) fn try_show(
        &self,
        name: &str,
        around: Around<'_>,
        page: Value,
    ) -> Result<String, minijinja::Error> {
        self.pages.render(self.lang, name, &around, page)
    }

    /// A page that says one thing.
    pub(crate) fn message(&self, status: StatusCode, around: Around<'_>, message: &Message) -> Response {
        self.show(status, "message.html", around, message)
    }
}

/// The name of a text in `texts/*.ftl`. Each stands in the sources in this form, so that a test finds those that are missing
/// and those that nobody uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Text(pub(crate) &'static str);

/// A page that says one thing.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Message {
    pub(crate) title: Text,
    pub(crate) text: Text,
    pub(crate) tone: Tone,
    pub(crate) action: Action,
}

/// What a page that says one thing says.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Tone {
    Plain,
    Good,
    Bad,
}

/// What a page that says one thing offers.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    None,
    Home,
    LogIn,
    AskReset,
    Sessions,
    LogOutAgain,
}

/// Whose session a response is about, for the pages made of it on its way out.
#[derive(Clone, Debug)]
pub(crate) struct Who(pub(crate) String);
