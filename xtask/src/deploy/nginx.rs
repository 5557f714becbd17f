//! The configuration of nginx.

use std::process::Command;

use anyhow::{Context as _, Result};
use services::Certificate;

use crate::test::found;

/// What nginx has against the configuration, in a folder of its own.
pub(super) fn check(text: &str) -> Result<Vec<String>> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    let certificate = Certificate::new()?;
    std::fs::write(path("chain.pem"), &certificate.chain)?;
    std::fs::write(path("key.pem"), &certificate.key)?;
    // What is there only inside of the container has a stand-in: names, certificates, ports.
    let mut text = text.to_owned();
    for (there, here) in [
        ("/run/secrets/tls_certificate", path("chain.pem").display().to_string()),
        ("/run/secrets/tls_key", path("key.pem").display().to_string()),
        ("/tmp/nginx.pid", path("nginx.pid").display().to_string()),
        ("server node", "server 127.0.0.".to_owned()),
        ("listen 80 ", format!("listen unix:{} ", path("http").display())),
        ("listen 443 ", format!("listen unix:{} ", path("https").display())),
    ] {
        text = text.replace(there, &here);
    }
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {};", path(name).display()));
    let text = text.replacen("http {", &format!("http {{ {}", temporary.join(" ")), 1);
    std::fs::write(path("nginx.conf"), text)?;
    let mut nginx = Command::new(found("nginx")?);
    nginx.arg("-t").arg("-q").arg("-e").arg("/dev/stderr").arg("-p").arg(folder.path());
    let output = nginx.arg("-c").arg(path("nginx.conf")).output().context("starting nginx")?;
    let said = String::from_utf8_lossy(&output.stderr);
    Ok(match output.status.success() && said.is_empty() {
        true => Vec::new(),
        false => vec![format!("nginx.conf: {}", said.trim_end())],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = include_str!("../../../deploy/nginx.conf");

    #[test]
    fn the_configuration_is_sound_and_a_broken_one_is_not() {
        assert_eq!(check(OURS).unwrap(), [""; 0]);
        for (good, bad) in [
            ("proxy_connect_timeout 1s;", "proxy_connect_timeout soon;"),
            ("keepalive 64;", "keep_alive 64;"),
            ("server_tokens off;", "server_tokens off"),
            ("tls_key;", "no_such_key;"),
            ("proxy_pass http://exeunt;", "proxy_pass http://exeunt.invalid;"),
        ] {
            assert!(OURS.contains(good), "{good}");
            assert!(!check(&OURS.replace(good, bad)).unwrap().is_empty(), "{bad}");
        }
    }
}
