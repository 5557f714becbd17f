//! The templates: those of this project, and those that an operator put in their place.

use std::path::Path;
use std::sync::Arc;

use fluent_bundle::{FluentArgs, FluentValue};
use minijinja::value::{Kwargs, Serde};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value};

use serde::Serialize;

use super::brand::BrandError;
use super::texts::Texts;

macro_rules! templates {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../templates/", $name)))),*]
    };
}

/// Those of this project, by the name that a file has to have to take its place.
pub(super) const TEMPLATES: [(&str, &str); 19] = templates![
    "address.html",
    "admin-account.html",
    "admin-accounts.html",
    "admin-events.html",
    "admin-sessions.html",
    "again.html",
    "base.html",
    "client.html",
    "event.html",
    "field.html",
    "home.html",
    "login.html",
    "message.html",
    "password.html",
    "reset-ask.html",
    "reset.html",
    "sessions.html",
    "setup.html",
    "time.html",
];

/// Compiles all of them.
pub(super) fn build(texts: Arc<Texts>, folder: Option<&Path>) -> Result<Environment<'static>, BrandError> {
    let mut engine = empty();
    engine.add_function("t", move |state: &State<'_, '_>, name: &str, given: Kwargs| {
        say(&texts, state, name, &given)
    });
    for (name, source) in TEMPLATES {
        let added = engine.add_template(name, source);
        added.map_err(|error| BrandError::template(Path::new(name), &error))?;
    }
    if let Some(folder) = folder {
        replace(&mut engine, &folder.join("templates"))?;
    }
    Ok(engine)
}

fn empty() -> Environment<'static> {
    let mut engine = Environment::new();
    // What a template names and nobody gave it is an error, and no hole in the page.
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    // Whatever a template is called.
    engine.set_auto_escape_callback(|_| AutoEscape::Html);
    engine.set_formatter(write);
    engine
}

/// Renders a template that has no texts in other languages, and that nobody replaces.
pub(crate) fn standing_alone(source: &str, page: &impl Serialize) -> Result<String, Error> {
    empty().render_str(source, Value::from(Serde(page)))
}

/// Puts an operator's templates in the place of ours.
fn replace(engine: &mut Environment<'static>, folder: &Path) -> Result<(), BrandError> {
    for file in super::brand::files(folder)? {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if !TEMPLATES.iter().any(|(known, _)| *known == name) {
            let names: Vec<_> = TEMPLATES.iter().map(|(name, _)| *name).collect();
            let reason =
                format!("there is no template of that name; these can be replaced: {}", names.join(", "));
            return Err(BrandError::Unusable { file, line: None, reason });
        }
        let source = super::brand::read_text(&file)?;
        let added = engine.add_template_owned(name, source);
        added.map_err(|error| BrandError::template(&file, &error))?;
    }
    Ok(())
}

/// `t("name", what=value)`: a text in the language of the page.
fn say(texts: &Texts, state: &State<'_, '_>, name: &str, given: &Kwargs) -> Result<String, Error> {
    let tag = state.lookup("lang");
    let lang = tag.as_ref().and_then(Value::as_str).and_then(|tag| texts.find(tag));
    let mut args = FluentArgs::new();
    for key in given.args() {
        let value: Value = given.get(key)?;
        let value: FluentValue<'static> = match i64::try_from(value.clone()) {
            Ok(number) if value.is_number() => number.into(),
            _ => value.to_string().into(),
        };
        args.set(key.to_owned(), value);
    }
    let missing =
        || Error::new(ErrorKind::InvalidOperation, format!("there is no text `{name}`, or it lacks a value"));
    texts.say(lang.unwrap_or_default(), name, &args).ok_or_else(missing)
}

/// Writes a value into a page. All but what a template itself marked as safe is escaped for text and quoted attributes.
fn write(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    let text = value.to_string();
    if value.is_safe() {
        return Ok(out.write_str(&text)?);
    }
    for part in text.split_inclusive(['&', '<', '>', '"', '\'']) {
        let (plain, entity) = match part.char_indices().next_back() {
            Some((at, '&')) => (part.split_at(at).0, "&amp;"),
            Some((at, '<')) => (part.split_at(at).0, "&lt;"),
            Some((at, '>')) => (part.split_at(at).0, "&gt;"),
            Some((at, '"')) => (part.split_at(at).0, "&quot;"),
            Some((at, '\'')) => (part.split_at(at).0, "&#39;"),
            _ => (part, ""),
        };
        out.write_str(plain)?;
        out.write_str(entity)?;
    }
    Ok(())
}
