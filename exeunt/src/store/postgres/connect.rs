//! Makes connections, and turns down those on which promises would be void.
//!
//! Must never use TLS without checking the certificate and the name, and never keep a connection that was not checked.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{
    ClientWrapper, Connect, Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::task::{JoinHandle, JoinSet};
use tokio_postgres::{Client, Config, Error, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::errors::{ConnectError, is_read_only};
use super::url::Target;

/// The pool of connections to a target. Makes none yet.
pub(super) fn pool(target: &Target) -> Result<Pool, ConnectError> {
    let hosts = Hosts { configs: target.hosts.clone(), tls: tls(target)? };
    let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let connections = Manager::from_connect(Config::new(), hosts, config);
    let (pooled, deadline) = (target.pooled, target.deadline);
    let checked = Hook::async_fn(move |client, _| Box::pin(check(client, pooled, deadline)));
    let pool = Pool::builder(connections).max_size(target.connections).post_create(checked).build();
    pool.map_err(|error| ConnectError::BadUrl { reason: error.to_string() })
}

/// What checks certificates: the system's roots, and those of the file.
fn tls(target: &Target) -> Result<MakeRustlsConnect, ConnectError> {
    let mut roots = RootCertStore::empty();
    if target.tls {
        // What cannot be read of the system's roots is missing, and then a server is refused.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(file) = &target.ca {
            add(&mut roots, file)?;
        }
        if roots.is_empty() {
            return Err(ConnectError::BadUrl {
                reason: "TLS is wanted, but this system has no root certificates: name a file with `ca=`"
                    .to_owned(),
            });
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ConnectError::BadUrl { reason: error.to_string() })?;
    Ok(MakeRustlsConnect::new(config.with_root_certificates(roots).with_no_client_auth()))
}

fn add(roots: &mut RootCertStore, file: &Path) -> Result<(), ConnectError> {
    let failed = |said: String| ConnectError::BadUrl {
        reason: format!("the certificates in {} cannot be read: {said}", file.display()),
    };
    let mut found = 0;
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| failed(error.to_string()))? {
        let certificate = certificate.map_err(|error| failed(error.to_string()))?;
        roots.add(certificate).map_err(|error| failed(error.to_string()))?;
        found += 1;
    }
    if found == 0 { Err(failed("there is none".to_owned())) } else { Ok(()) }
}

/// Servers of which one takes writes.
struct Hosts {
    configs: Vec<Config>,
    tls: MakeRustlsConnect,
}

type Connected = Result<(Client, JoinHandle<()>), Error>;

impl Connect for Hosts {
    /// Tries all at once: one that is silent must not use up the time of the others.
    fn connect(&self, _: &Config) -> Pin<Box<dyn Future<Output = Connected> + Send + '_>> {
        let mut attempts = JoinSet::new();
        for config in &self.configs {
            attempts.spawn(attempt(config.clone(), self.tls.clone()));
        }
        Box::pin(async move {
            let mut failed: Option<Error> = None;
            while let Some(ended) = attempts.join_next().await {
                match ended {
                    Ok(Ok(connected)) => return Ok(connected),
                    Ok(Err(error))
                        if failed.as_ref().is_none_or(|other| telling(&error) > telling(other)) =>
                    {
                        failed = Some(error);
                    }
                    // An attempt neither panics nor is aborted while it is waited for.
                    Ok(Err(_)) | Err(_) => (),
                }
            }
            Err(failed.unwrap_or_else(Error::__private_api_timeout))
        })
    }
}

async fn attempt(config: Config, tls: MakeRustlsConnect) -> Connected {
    let (client, connection) = config.connect(tls).await?;
    let driven = tokio::spawn(async move {
        if let Err(error) = connection.await {
            // Whoever used it is told, too; an idle one is replaced.
            tracing::debug!(error = %crate::store::Causes(&error), "a connection to PostgreSQL ended");
        }
    });
    Ok((client, driven))
}

/// Of several servers' errors the one that says most is shown.
fn telling(error: &Error) -> u8 {
    match error.as_db_error() {
        Some(_) => 2,
        None => u8::from(is_read_only(error)),
    }
}

/// What has to be so for an acknowledged commit to last, and for texts to come back as they were.
const SETTINGS: &str = "SELECT current_setting('server_version_num'), current_setting('server_encoding'), \
    current_setting('fsync'), current_setting('synchronous_commit'), current_setting('transaction_read_only'), \
    current_setting('server_version')";

/// After how many milliseconds the server gives up a statement: a little before we do, so that it tells us, and that
/// nothing goes on which nobody waits for.
pub(super) fn statement_timeout(deadline: Duration) -> u128 {
    (deadline * 9 / 10).as_millis()
}

async fn check(client: &mut ClientWrapper, pooled: bool, deadline: Duration) -> Result<(), HookError> {
    let within = statement_timeout(deadline);
    let own =
        format!("SET statement_timeout = {within}; SET default_transaction_isolation = 'read committed'; ");
    // Behind a pooler the settings would stay with a connection that others use next: they go along with each statement.
    let sql = if pooled { SETTINGS.to_owned() } else { own + SETTINGS };
    let answer = client.simple_query(&sql).await.map_err(HookError::Backend)?;
    let row = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let setting = |column| row.and_then(|row| row.get(column)).unwrap_or("unknown");
    wrong([0, 1, 2, 3, 4, 5].map(setting)).map_or(Ok(()), |reason| Err(HookError::message(reason)))
}

fn wrong([number, encoding, fsync, commit, read_only, version]: [&str; 6]) -> Option<String> {
    if number.parse::<u32>().is_ok_and(|number| number < OLDEST * 10_000) {
        return Some(format!("it is PostgreSQL {version}, and {OLDEST} or later is needed"));
    }
    if encoding != "UTF8" {
        return Some(format!(
            "the database's encoding is {encoding}: make one with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        ));
    }
    if fsync != "on" {
        return Some(format!(
            "fsync is {fsync}, so that a crash brings ended sessions back: set fsync = on in postgresql.conf"
        ));
    }
    if commit == "off" {
        return Some(
            "synchronous_commit is off, so that a crash brings ended sessions back: set it to on, also where ALTER ROLE \
             or ALTER DATABASE set it"
                .to_owned(),
        );
    }
    (read_only != "off")
        .then(|| "default_transaction_read_only is on: set it to off, or name the primary".to_owned())
}

const OLDEST: u32 = 13;
