//! Messages over SMTP (RFC 5321), with TLS but to this machine.
//!
//! Must never send a message or a password over a network in the clear, nor repeat what the server said: it may have the
//! address in it.

use std::path::Path;
use std::time::Duration;

use exeunt::store::async_trait;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::{AsyncSmtpTransport, Error};
use lettre::{AsyncTransport as _, Tokio1Executor};

use super::letter::Letter;
use super::{Deliver, MailUnusable, Undelivered};
use crate::config::{SmtpSecurity, SmtpUrl};

/// How long the server may take for one answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Smtp(AsyncSmtpTransport<Tokio1Executor>);

impl Smtp {
    /// Connects to nobody yet. `hello`: the name that the server is greeted with.
    pub(super) fn new(url: &SmtpUrl, hello: &str) -> Result<Self, MailUnusable> {
        let parameters = || tls(url.host(), url.ca());
        let tls = match url.security() {
            SmtpSecurity::Tls => Tls::Wrapper(parameters()?),
            SmtpSecurity::StartTls => Tls::Required(parameters()?),
            SmtpSecurity::None => Tls::None,
        };
        let smtp = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(url.host())
            .port(url.port())
            .tls(tls)
            .hello_name(ClientId::Domain(hello.to_owned()))
            .timeout(Some(ANSWER_WITHIN));
        Ok(Self(match url.credentials() {
            Some((user, password)) => smtp.credentials(Credentials::new(user, password)).build(),
            None => smtp.build(),
        }))
    }
}

fn tls(host: &str, ca: Option<&Path>) -> Result<TlsParameters, MailUnusable> {
    let unusable = |what: &dyn std::fmt::Display| MailUnusable { reason: format!("TLS to {host}: {what}") };
    let mut parameters = TlsParameters::builder(host.to_owned());
    if let Some(path) = ca {
        let failed = |error: &dyn std::fmt::Display| unusable(&format_args!("{}: {error}", path.display()));
        let pem = std::fs::read(path).map_err(|error| failed(&error))?;
        parameters =
            parameters.add_root_certificate(Certificate::from_pem(&pem).map_err(|error| failed(&error))?);
    }
    parameters.build().map_err(|error| unusable(&error))
}

#[async_trait]
impl Deliver for Smtp {
    async fn deliver(&self, letter: &Letter) -> Result<(), Undelivered> {
        let sent = self.0.send_raw(&letter.envelope, &letter.bytes).await;
        sent.map(drop).map_err(|error| undelivered(&error))
    }
}

fn undelivered(error: &Error) -> Undelivered {
    let reason = match error.status() {
        Some(code) => format!("the mail server refused it with {code}"),
        None if error.is_timeout() => "the mail server did not answer in time".to_owned(),
        None if error.is_tls() => format!("no TLS with the mail server: {error}"),
        None if error.is_response() => "the mail server's answer cannot be read".to_owned(),
        None if error.is_client() => {
            "the mail server does not offer what is needed: TLS, or a way to log in".to_owned()
        }
        None => format!("the mail server cannot be reached: {error}"),
    };
    Undelivered { again: !error.is_permanent(), reason }
}
