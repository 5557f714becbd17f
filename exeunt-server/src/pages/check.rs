//! Every page made once, in every language, with something in every place: an operator's template that names what is not
//! there is found before anybody is served.

use std::sync::Arc;

use exeunt::Timestamp;
use minijinja::Value;
use minijinja::value::Serde;
use serde::Serialize;

use super::{Home, Login, NOT_LOGGED_OUT, Notice, admin, again, password, reset, sessions, setup};
use crate::error::message;
use crate::html::{Action, Around, BrandError, Message, Page, Pages, Text, Tone};
use axum::http::StatusCode;

/// # Errors
///
/// [`BrandError`], which names the template and the line.
pub(crate) fn check(pages: &Arc<Pages>) -> Result<(), BrandError> {
    for (tag, name, made) in all(pages) {
        made.map_err(|error| {
            let file = pages.file_of(error.name().unwrap_or(name));
            tracing::debug!(language = tag, template = name, "a page cannot be made");
            BrandError::template(&file, &error)
        })?;
    }
    Ok(())
}

type Made = Result<String, minijinja::Error>;

/// The language, the template, and what comes of it.
pub(super) fn all(pages: &Arc<Pages>) -> Vec<(String, &'static str, Made)> {
    let mut all = Vec::new();
    for tag in pages.languages() {
        let page = Page::in_language(pages, tag);
        for (name, value) in samples() {
            for who in [None, Some("<i>al\"ice</i>")] {
                let around = Around { who, admin: true, form: Some("form's \"token\""), here: "/" };
                all.push((tag.to_owned(), name, page.try_show(name, around, value.clone())));
            }
        }
    }
    all
}

/// Text that would break out of a page if it were not escaped.
pub(super) const EVIL: &str = "<script>'\"&</script>";

fn samples() -> Vec<(&'static str, Value)> {
    let now = Timestamp::from_secs(1_767_225_600);
    let mut samples = vec![("home.html", value(&Home::sample(now)))];
    let notices = [
        Notice::None,
        Notice::LoggedOut,
        Notice::Ended,
        Notice::Wrong,
        Notice::TooMany,
        Notice::Unavailable,
        Notice::CookieNotKept,
    ];
    for notice in notices {
        for secure in [false, true] {
            samples.push(("login.html", value(&Login::sample(notice, secure))));
        }
    }
    samples.extend(sessions::Sessions::samples(now).iter().map(|sample| ("sessions.html", value(sample))));
    samples.extend(setup::Setup::samples().iter().map(|sample| ("setup.html", value(sample))));
    samples.extend(again::Again::samples().iter().map(|sample| ("again.html", value(sample))));
    samples.extend(password::Password::samples().iter().map(|sample| ("password.html", value(sample))));
    samples.push(("reset-ask.html", value(&reset::Ask::new())));
    samples.extend(reset::Reset::samples().iter().map(|sample| ("reset.html", value(sample))));
    samples.extend(admin::AccountsPage::samples(now).iter().map(|one| ("admin-accounts.html", value(one))));
    samples.extend(admin::AccountPage::samples(now).iter().map(|one| ("admin-account.html", value(one))));
    samples.extend(admin::SessionsPage::samples(now).iter().map(|one| ("admin-sessions.html", value(one))));
    samples.extend(admin::EventsPage::samples(now).iter().map(|one| ("admin-events.html", value(one))));
    let statuses = (400..=511).filter_map(|status| StatusCode::from_u16(status).ok());
    let messages = statuses.map(message).chain([
        NOT_LOGGED_OUT,
        sessions::NOT_EVERYWHERE,
        setup::DEAD,
        password::CHANGED,
        password::LEFT,
        reset::ASKED,
        reset::BUSY,
        reset::DEAD,
        reset::DEAD_AND_OFF,
        reset::DONE,
        reset::LEFT,
        reset::UNKNOWN,
        admin::NOT_FOR_YOU,
        admin::OWN,
        admin::LEFT,
        admin::UNKNOWN,
    ]);
    samples.extend(messages.map(|message| ("message.html", value(&message))));
    let plain =
        |action| Message { title: Text("error-title"), text: Text("error-text"), tone: Tone::Plain, action };
    let actions =
        [Action::None, Action::Home, Action::LogIn, Action::AskReset, Action::Sessions, Action::LogOutAgain];
    samples.extend(actions.map(|action| ("message.html", value(&plain(action)))));
    samples
}

fn value(page: &impl Serialize) -> Value {
    Value::from(Serde(page))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::html::Brand;

    fn ours() -> Arc<Pages> {
        Arc::new(Pages::new(&Brand::default()).unwrap())
    }

    #[test]
    fn every_page_can_be_made_in_every_language_and_escapes_what_it_shows() {
        let pages = ours();
        check(&pages).unwrap();
        let all = all(&pages);
        assert!(all.len() > 100);
        let languages: BTreeSet<_> = all.iter().map(|(tag, _, _)| tag.as_str()).collect();
        assert_eq!(languages, BTreeSet::from(["de", "en"]));
        for (tag, name, html) in all {
            let html = html.unwrap();
            assert!(!html.contains("<script>") && !html.contains("<i>"), "{name}: {html}");
            assert!(
                html.starts_with(&format!("<!doctype html>\n<html lang=\"{tag}\" dir=\"ltr\">")),
                "{name}"
            );
            assert!(
                !html.contains(" style=") && !html.contains("<style") && !html.contains(" onclick"),
                "{name}"
            );
        }
    }

    #[test]
    fn every_page_is_valid_by_the_checker_of_the_w3c() {
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/browser-tools/node_modules");
        let folder = tempfile::tempdir().unwrap();
        let mut written = BTreeSet::new();
        for (number, (tag, name, html)) in all(&ours()).into_iter().enumerate() {
            // Many differ in nothing that it looks at.
            let html = html.unwrap();
            if written.insert(html.clone()) {
                std::fs::write(folder.path().join(format!("{number}-{tag}-{name}")), html).unwrap();
            }
        }
        let checker = tools.join("vnu-jar/build/dist/vnu.jar");
        assert!(checker.is_file(), "`cargo xtask test` fetches it");
        let check = |folder: &Path| {
            let mut java = std::process::Command::new("java");
            java.args(["-jar"]).arg(&checker).args(["--errors-only", "--skip-non-html"]).arg(folder);
            java.output().unwrap()
        };
        let said = check(folder.path());
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        // It does look.
        std::fs::write(folder.path().join("broken.html"), "<!doctype html><title>x</title><ul><p>").unwrap();
        assert!(!check(folder.path()).status.success());
    }

    /// The names of texts that a file of texts has.
    fn named_in(text: &str) -> BTreeSet<String> {
        let lines = text.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()));
        lines.filter_map(|line| line.split_once(" =").map(|(name, _)| name.to_owned())).collect()
    }

    /// What stands between each `before` and the next quotation mark.
    fn quoted(text: &str, before: &str) -> Vec<String> {
        let after = text.split(before).skip(1);
        after.filter_map(|rest| rest.split_once('"').map(|(name, _)| name.to_owned())).collect()
    }

    fn read(folder: &Path, extension: &str, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                read(&path, extension, found);
            } else if path.extension().is_some_and(|other| other == extension) {
                found.push(std::fs::read_to_string(path).unwrap());
            }
        }
    }

    #[test]
    fn every_text_is_there_in_every_language_and_every_one_is_said_somewhere() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let text = |tag: &str| std::fs::read_to_string(root.join("texts").join(tag)).unwrap();
        let english = named_in(&text("en.ftl"));
        assert!(english.len() > 50);
        assert_eq!(english, named_in(&text("de.ftl")));

        let (mut sources, mut templates) = (Vec::new(), Vec::new());
        read(&root.join("src"), "rs", &mut sources);
        read(&root.join("templates"), "html", &mut templates);
        let mark = concat!("Text", "(\"");
        let in_sources = sources.iter().flat_map(|source| quoted(source, mark));
        let in_templates = templates.iter().flat_map(|template| quoted(template, "t(\""));
        let said: BTreeSet<_> = in_sources.chain(in_templates).collect();
        assert_eq!(said, english);
    }

    fn with(files: &[(&str, &str)]) -> Result<Arc<Pages>, String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let file = folder.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        let brand = Brand { folder: Some(folder.path().to_owned()), ..Brand::default() };
        let pages = Arc::new(Pages::new(&brand).map_err(|error| error.to_string())?);
        check(&pages).map_err(|error| error.to_string())?;
        Ok(pages)
    }

    #[test]
    fn an_operators_template_takes_the_place_of_ours_and_the_others_stay() {
        let own = "{% extends \"base.html\" %}{% block title %}x{% endblock %}{% block main %}<h1>Ours, {{ who }}</h1>{% endblock %}";
        let pages = with(&[("templates/home.html", own)]).unwrap();
        let page = Page::in_language(&pages, "en");
        let around = Around { who: Some("a<b"), ..Around::default() };
        let home = page.try_show("home.html", around, value(&Home::sample(Timestamp::default()))).unwrap();
        assert!(home.contains("<h1>Ours, a&lt;b</h1>") && home.contains("Log out"), "{home}");
        let login = page.try_show("login.html", around, value(&Login::sample(Notice::None, true))).unwrap();
        assert!(login.contains("Remember me"), "{login}");
    }

    #[test]
    fn a_broken_template_or_text_is_an_error_that_names_file_and_line() {
        for (file, text, line, why) in [
            ("templates/home.html", "\n{% if %}", "line 2", "unexpected"),
            ("templates/home.html", "<p>\n\n{{ nobody }}", "line 3", "undefined"),
            ("templates/home.html", "{{ t(\"no-such-text\") }}", "line 1", "no-such-text"),
            ("templates/home.html", "\n{% include \"nothing.html\" %}", "line 2", "nothing.html"),
            ("templates/hone.html", "", "hone.html", "home.html"),
            ("texts/en.ftl", "skip = Go\n\nlog-out\n", "line 3", "xpected"),
            ("texts/fr.ftl", "skip = Passer\nlogout = Sortir\n", "line 2", "logout"),
            ("texts/english.txt", "", "english.txt", "language"),
        ] {
            let error = with(&[(file, text)]).unwrap_err();
            assert!(
                error.contains(file) && error.contains(line) && error.contains(why),
                "{file} {text}: {error}"
            );
        }
    }

    #[test]
    fn an_operators_texts_change_what_pages_say_and_add_languages() {
        let pages = with(&[
            ("texts/en.ftl", "log-in = Sign in\n"),
            ("texts/ar.ftl", "log-in = تسجيل الدخول\n"),
            ("templates/.home.html.swp", "{% if %}"),
        ])
        .unwrap();
        let login = |tag| {
            let sample = value(&Login::sample(Notice::None, true));
            Page::in_language(&pages, tag).try_show("login.html", Around::default(), sample).unwrap()
        };
        assert!(login("en").contains("Sign in") && login("en").contains("Password"));
        assert!(login("de").contains("Anmelden"));
        let arabic = login("ar");
        assert!(
            arabic.contains("<html lang=\"ar\" dir=\"rtl\">")
                && arabic.contains("تسجيل")
                && arabic.contains("Password")
        );
    }

    #[test]
    fn links_of_an_operator_stand_at_the_foot_and_cannot_break_out() {
        let link = crate::html::Link { text: EVIL.to_owned(), url: "/a\"b".to_owned() };
        let brand = Brand { name: EVIL.to_owned(), links: vec![link], ..Brand::default() };
        let pages = Arc::new(Pages::new(&brand).unwrap());
        for (_, name, html) in all(&pages) {
            let html = html.unwrap();
            assert!(html.contains("href=\"/a&quot;b\"") && !html.contains("<script>"), "{name}: {html}");
        }
    }
}
