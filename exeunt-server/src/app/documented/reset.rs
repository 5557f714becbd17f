//! Each answer that the document promises of a forgotten password.
//!
//! Must never leave anything that waits, but that the server takes no more requests for links then.

use exeunt::store::sqlite::rusqlite::Connection;

use super::*;
use crate::mail::Outbox;

pub(super) async fn each_answer(world: &mut World, big: &str) {
    let (reset, confirm) = (("/api/auth/reset", ""), ("/api/auth/reset/confirm", ""));
    let bob = r#"{"username":"bob"}"#;
    assert_eq!(world.ask("POST", reset, &[], Some(bob)).await.status, 404, "nothing sends messages");
    let folder = world.folder.path().join("mail");
    let config = Config::decide(Options { mail_dir: Some(folder.clone()), ..Options::default() }).unwrap();
    let outbox = Outbox::open(&config, Arc::clone(&world.clock) as Arc<dyn Clock>).unwrap();
    let mailing = world.state.accounts.clone().mailing(outbox.clone());
    let mailing = mailing.resetting("https://h", Duration::from_secs(60));
    world.state.accounts = mailing.clone();
    world.app = router(world.state.clone());
    mailing.set_email("alice", Some("alice@example.org")).await.unwrap();
    assert_eq!(world.ask("POST", reset, &[], Some(RIGHT)).await.status, 202);
    world.peer = Some(Peer(([192, 0, 2, 1], 4711).into()));
    for status in [[202; 20].as_slice(), &[429]].concat() {
        assert_eq!(world.ask("POST", reset, &[], Some(bob)).await.status, status);
    }
    world.peer = None;
    for path in [reset, confirm] {
        for body in [Some("{"), Some("{}"), Some(big), None] {
            world.ask("POST", path, &[], body).await;
        }
        world.ask("POST", path, &[EVIL], Some("{}")).await;
    }
    let until = tokio::time::Instant::now() + Duration::from_secs(60);
    mailing.finish_resets(until).await;
    outbox.drain(until).await;
    let message = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let message = std::fs::read_to_string(message).unwrap();
    let secret = message.split("secret=").nth(1).unwrap().lines().next().unwrap();
    // Where links are kept cannot be asked.
    let file = Connection::open(world.folder.path().join("exeunt.db")).unwrap();
    file.execute_batch("ALTER TABLE reset_links RENAME TO gone").unwrap();
    let given = json!({"secret": secret, "password": "correct horse battery staple"}).to_string();
    assert_eq!(world.ask("POST", confirm, &[], Some(&given)).await.status, 503);
    file.execute_batch("ALTER TABLE gone RENAME TO reset_links").unwrap();
    for (password, status) in [("", 422), ("correct horse battery staple", 200), ("x", 404)] {
        let given = json!({"secret": secret, "password": password}).to_string();
        assert_eq!(world.ask("POST", confirm, &[], Some(&given)).await.status, status);
    }
    // It takes no more, as where too many wait.
    assert_eq!(world.ask("POST", reset, &[], Some(bob)).await.status, 503);
    let form = axum::http::Request::post("/reset/ask").header("accept", "text/html");
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    let busy = world.send(form, Body::from("username=bob")).await;
    assert_eq!((busy.status, busy.headers.contains_key(header::RETRY_AFTER)), (503, true));
    assert!(busy.body.contains("Too many requests wait"), "{}", busy.body);
}
