//! What happened, on the pages: all of it to administrators, and to everybody what happened to their own account.

use exeunt::{Event, EventKind, UserId};

use super::{ADDRESS, OTHER, PASSWORD, Server};

impl Server {
    /// Returns once all that happened so far is in the audit table.
    async fn settle(&mut self) {
        self.audit.take().unwrap().stop().await;
        self.audit = Some(self.accounts.audit());
    }

    /// What a page tells, newest first: each event with its facts, apart from each other by bars.
    async fn told(&self, path: &str, token: &str) -> Vec<String> {
        let answer = self.get(path, token).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        rows(&answer.body)
    }
}

/// The secret part of a cookie.
fn secret(token: &str) -> &str {
    token.get("session=".len() + 11..).unwrap()
}

/// The texts of the rows of events.
fn rows(body: &str) -> Vec<String> {
    let Some((_, list)) = body.split_once("<ul class=\"rows dense\">") else { return Vec::new() };
    let (list, _) = list.split_once("</ul>").unwrap();
    list.split("</li>").map(shown).filter(|row| !row.is_empty()).collect()
}

/// What a reader sees, part by part.
fn shown(html: &str) -> String {
    let texts = html.split('<').map(|part| part.rsplit_once('>').map_or(part, |(_, text)| text).trim());
    let texts: Vec<_> = texts.filter(|text| !text.is_empty()).collect();
    texts.join(" | ").replace(['\u{2068}', '\u{2069}'], "")
}

/// Where a link leads.
fn link(body: &str, text: &str) -> Option<String> {
    let (before, _) = body.split_once(&format!(">{text}</a>"))?;
    let (_, href) = before.rsplit_once("href=\"")?;
    Some(href.split('"').next()?.replace("&amp;", "&"))
}

#[tokio::test] // R20
async fn administrators_read_what_happened_to_whom_by_whom_when_and_from_where() {
    let mut server = Server::new().await;
    let (alice, root) = (server.login("alice").await, server.login("root").await);
    server.login_with("alice", "wrong").await;
    server.login_with("nobody", "wrong").await;
    server.send("POST", "/logout", Some(&alice), &[]).await;
    server.get("/", &alice).await;
    let fields = [("id", "2"), ("change", "disable")];
    server.submit("/admin/accounts", "/admin/account", &root, &fields).await;
    server.settle().await;
    server.clock.advance(std::time::Duration::from_secs(120));

    let page = server.get("/admin/events", &root).await;
    assert_eq!(page.status, 200);
    let here = format!("curl | {ADDRESS}");
    let told = [
        format!("A cookie was used after logging out | 2 minutes ago | alice | {here}"),
        format!("Account disabled | 2 minutes ago | bob | by the administrator root | {here}"),
        format!("Logged out | 2 minutes ago | alice | {here}"),
        format!("Login refused: there is no account of that name | 2 minutes ago | {here}"),
        format!("Login refused: wrong password | 2 minutes ago | alice | {here}"),
        format!("Logged in | 2 minutes ago | root | {here}"),
        format!("Logged in | 2 minutes ago | alice | {here}"),
        "Account of an administrator added | 2 minutes ago | root".to_owned(),
        "Account added | 2 minutes ago | bob".to_owned(),
        "Account added | 2 minutes ago | alice".to_owned(),
    ];
    assert_eq!(rows(&page.body), told);
    // The exact time is there for whoever points at it.
    let exact = server.sessions.now().to_string();
    let (day, _) = exact.split_once('T').unwrap();
    assert!(page.body.contains(&format!("title=\"{day} ")), "{}", page.body);
    // Whose it is leads to all of theirs, and the accounts' pages lead there, too.
    let of_bob = Some("/admin/events?account=2".to_owned());
    assert_eq!(link(&page.body, "<bdi>bob</bdi>"), of_bob);
    let account = server.get("/admin/account?id=2", &root).await;
    assert_eq!(link(&account.body, "What happened to this account"), of_bob);
    assert!(page.body.contains("aria-current=\"page\">Events</a>"));
    for secret in [secret(&alice), secret(&root), PASSWORD] {
        assert!(!page.body.contains(secret));
    }
}

#[tokio::test]
async fn thousands_of_events_are_shown_a_page_at_a_time_each_once_while_others_happen() {
    const MANY: usize = 1_234;
    let mut server = Server::new().await;
    let root = server.login("root").await;
    let report = |server: &Server, number: usize| {
        let user = UserId::from(1_000 + i64::try_from(number).unwrap());
        let event = Event::new(EventKind::AccountEnabled).of(&user).named(&format!("n{number}"));
        server.sessions.events().report(event);
    };
    (0..MANY).for_each(|number| report(&server, number));
    server.settle().await;

    let number = |row: &String| {
        let name = row.split(" | ").nth(2).unwrap_or_default();
        name.strip_prefix('n').and_then(|number| number.parse::<usize>().ok())
    };
    let (mut path, mut seen, mut pages) = ("/admin/events".to_owned(), Vec::new(), 0);
    loop {
        let page = server.get(&path, &root).await;
        let rows = rows(&page.body);
        assert!(rows.len() <= 50 && !rows.is_empty(), "{path}: {}", rows.len());
        assert_eq!(link(&page.body, "Newer").is_some(), pages > 0, "{path}");
        seen.extend(rows.iter().filter_map(number));
        pages += 1;
        if pages == 3 {
            // What comes meanwhile moves no page.
            (MANY..MANY + 60).for_each(|number| report(&server, number));
            server.settle().await;
        }
        match link(&page.body, "Older") {
            Some(older) => path = older,
            None => break,
        }
    }
    let all: Vec<_> = (0..MANY).rev().collect();
    assert_eq!(seen, all);
    assert_eq!(pages, (MANY + 4).div_ceil(50));

    // And back, until there is nothing newer.
    let mut back: Vec<usize> = Vec::new();
    let mut steps = 0;
    while let Some(newer) = link(&server.get(&path, &root).await.body, "Newer") {
        path = newer;
        back.extend(server.told(&path, &root).await.iter().filter_map(number));
        steps += 1;
        assert!(steps < 100, "it ends");
    }
    back.sort_unstable();
    back.dedup();
    assert!(back.ends_with(&[MANY + 58, MANY + 59]) && back.len() >= MANY + 60 - 50, "{}", back.len());
    assert_eq!(server.told("/admin/events", &root).await, server.told(&path, &root).await);
}

#[tokio::test]
async fn events_of_one_account_are_found_by_its_name_or_number_also_when_it_is_gone() {
    let mut server = Server::new().await;
    server.login("alice").await;
    server.login("bob").await;
    let root = server.login("root").await;
    let remove = [("id", "2"), ("change", "remove")];
    server.submit("/admin/accounts", "/admin/account", &root, &remove).await;
    server.settle().await;

    let of_alice = server.get("/admin/events?name=ALICE+", &root).await;
    assert!(of_alice.body.contains("<h1>Events of \u{2068}alice\u{2069}</h1>"), "{}", of_alice.body);
    assert_eq!(link(&of_alice.body, "To the account").as_deref(), Some("/admin/account?id=1"));
    let first: Vec<_> =
        rows(&of_alice.body).iter().map(|row| row.split(" | ").next().unwrap().to_owned()).collect();
    assert_eq!(first, ["Logged in", "Account added"]);
    assert_eq!(rows(&of_alice.body), server.told("/admin/events?account=1&name=bob", &root).await);

    for path in ["/admin/events?account=2", "/admin/events?name=bob&account="] {
        let of_bob = server.get(path, &root).await;
        assert!(of_bob.body.contains("<h1>Events of \u{2068}bob\u{2069}</h1>"), "{path}");
        assert_eq!(link(&of_bob.body, "To the account"), None, "{path}");
        let told = rows(&of_bob.body);
        assert!(told.iter().any(|row| row.starts_with("Account removed")), "{path}: {told:?}");
        assert!(told.iter().any(|row| row.starts_with("Session ended: the account was removed")), "{told:?}");
        assert!(!of_bob.body.contains("alice"), "{path}");
    }
    let all = server.told("/admin/events", &root).await;
    assert_eq!(server.told("/admin/events?name=+&account=&before=&after=", &root).await, all);

    for (path, said) in [
        ("/admin/events?name=nobody", "Nothing is known to have happened to such an account."),
        ("/admin/events?name=%00", "Nothing is known to have happened to such an account."),
        ("/admin/events?account=77", "Nothing is known to have happened to such an account."),
        ("/admin/events?before=1", "Nothing older is known."),
    ] {
        let empty = server.get(path, &root).await;
        assert_eq!((empty.status, rows(&empty.body).len()), (200, 0), "{path}");
        assert!(empty.body.contains(said), "{path}: {}", empty.body);
        let newest = path.contains("before").then_some("/admin/events");
        assert_eq!(link(&empty.body, "Newest").as_deref(), newest, "{path}");
    }
    // What is not understood is no question about all.
    for query in ["before=x", "after=1e3", "before=99999999999999999999", "account=%00", "name=a&name=b"] {
        let refused = server.get(&format!("/admin/events?{query}"), &root).await;
        assert_eq!((refused.status, rows(&refused.body).len()), (400, 0), "{query}");
    }
}

#[tokio::test] // R17
async fn a_person_reads_what_happened_lately_to_their_account_and_nothing_of_others() {
    let mut server = Server::new().await;
    let alice = server.login("alice").await;
    assert!(server.get("/sessions", &alice).await.body.contains("What happened lately on your account"));
    server.login_with("alice", "wrong").await;
    server.login_with("bob", "wrong").await;
    let gone = server.login("alice").await;
    let bob = server.login("bob").await;
    server.address = "198.51.100.77".parse().unwrap();
    let root = server.login("root").await;
    let id = server.get("/sessions", &alice).await.field("session");
    let fields = [("user", "1"), ("session", id.as_str())];
    server.submit("/admin/accounts", "/admin/sessions", &root, &fields).await;
    server.address = "203.0.113.5".parse().unwrap();
    server.get("/", &gone).await;
    server.settle().await;

    let here = format!("just now | curl | {ADDRESS}");
    let told = [
        "A cookie was used after its session had ended | just now | curl | 203.0.113.5".to_owned(),
        "Session ended | just now | by an administrator".to_owned(),
        format!("Logged in | {here}"),
        format!("Login refused: wrong password | {here}"),
        format!("Logged in | {here}"),
        "Account added | just now".to_owned(),
    ];
    let page = server.get("/sessions", &alice).await;
    assert_eq!(rows(&page.body), told);
    for hidden in ["198.51.100.77", "root", "bob", secret(&alice), secret(&gone), PASSWORD] {
        assert!(!page.body.contains(hidden), "{hidden}");
    }
    let of_bob: Vec<_> = server.told("/sessions", &bob).await;
    assert_eq!(of_bob.len(), 3);
    assert!(of_bob.iter().all(|row| !row.contains("ended")), "{of_bob:?}");
}

#[tokio::test]
async fn a_changed_password_is_told_however_many_sessions_it_ended() {
    let mut server = Server::new().await;
    let alice = server.login("alice").await;
    for _ in 0..12 {
        server.login("alice").await;
    }
    let fields = [("current", PASSWORD), ("password", OTHER), ("again", OTHER)];
    let alice = server.submit("/password", "/password", &alice, &fields).await.cookie.unwrap();
    server.settle().await;
    let told = server.told("/sessions", &alice).await;
    assert_eq!(told.len(), 10, "the last ones: {told:?}");
    let here = format!("just now | by you | curl | {ADDRESS}");
    let [ended, changed, before, ..] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(*ended, format!("Session ended: there is a new password | 12 sessions | {here}"));
    assert_eq!(*changed, format!("Password changed | just now | curl | {ADDRESS}"));
    assert!(before.starts_with("Logged in"), "{told:?}");
}

#[tokio::test] // R11
async fn sessions_are_shown_and_ended_although_nobody_can_tell_what_happened() {
    let server = Server::new().await;
    let (alice, other, root) =
        (server.login("alice").await, server.login("alice").await, server.login("root").await);
    let away = |tx: &exeunt::store::sqlite::Tx| {
        Ok::<_, exeunt::store::sqlite::DatabaseError>(tx.execute_batch("ALTER TABLE events RENAME TO away")?)
    };
    server.database.write(away).await.unwrap();

    let page = server.get("/sessions", &alice).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("cannot be told just now") && rows(&page.body).is_empty(), "{}", page.body);
    assert!(page.body.contains("this one") && page.body.contains(ADDRESS), "{}", page.body);
    let id = page.field("session");
    let ended = server.submit("/sessions", "/sessions/end", &alice, &[("session", &id)]).await;
    assert_eq!(ended.leads_to(), (303, format!("/sessions?ended={id}").as_str()));
    assert!(!server.lives(&other).await);

    let refused = server.get("/admin/events", &root).await;
    assert_eq!(refused.status, 503);
    assert!(refused.body.contains("Not available just now") && refused.body.contains("action=\"/logout\""));
    for token in [alice, root] {
        assert_eq!(server.send("POST", "/logout", Some(&token), &[]).await.leads_to(), (303, "/login?out"));
        assert!(!server.lives(&token).await);
    }
}

#[tokio::test] // R17
async fn every_list_of_sessions_says_where_each_logged_in_from() {
    let mut server = Server::new().await;
    let root = server.login("root").await;
    server.address = "2001:db8::42".parse().unwrap();
    let alice = server.login("alice").await;
    for (path, token, addresses) in [
        ("/sessions", &alice, vec!["2001:db8::42"]),
        ("/admin/account?id=1", &root, vec!["2001:db8::42"]),
        ("/admin/sessions", &root, vec![ADDRESS, "2001:db8::42"]),
    ] {
        let page = server.get(path, token).await.body;
        for address in addresses {
            let shown = format!("curl <bdi class=\"address\" dir=\"ltr\">{address}</bdi>");
            assert_eq!(page.matches(&shown).count(), 1, "{path}: {page}");
        }
    }
}
